{{- define "lapdev-agent.labels" -}}
app.kubernetes.io/name: lapdev-agent
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "lapdev-agent.clusterName" -}}
{{/* Cluster-scoped objects of two releases must not meet. */}}
{{- printf "%s-%s" .Release.Namespace .Release.Name -}}
{{- end }}

{{- define "lapdev-agent.user" -}}
{{- printf "system:serviceaccount:%s:%s" .Release.Namespace .Release.Name -}}
{{- end }}

{{- define "lapdev-agent.labelled" -}}
{{- $values := (index . 0).Values -}}
{{- $object := index . 1 -}}
{{- if $values.controlPlaneId -}}
{{ $object }}.metadata.labels[?"lapdev.dev/control-plane"].orValue("") == {{ $values.controlPlaneId | quote }}
{{- else -}}
"lapdev.dev/control-plane" in {{ $object }}.metadata.labels
{{- end -}}
{{- end }}
