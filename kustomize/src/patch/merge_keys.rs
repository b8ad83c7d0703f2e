//! Which lists of the built-in kinds merge element by element, and by which keys, as data.
//!
//! Distilled from the OpenAPI description of Kubernetes 1.21.2 that the reference embeds
//! (kubernetes-sigs/kustomize, kyaml/openapi, Apache-2.0): the properties with
//! `x-kubernetes-patch-strategy` `merge`, their `x-kubernetes-list-map-keys` or
//! `x-kubernetes-patch-merge-key`, and the definitions that lead to them; all else is left out.

/// A field of a definition that merges, or leads to one that does.
pub struct Field {
    pub name: &'static str,
    /// For a list that merges: its keys, none for a list of scalars.
    pub keys: Option<&'static [&'static str]>,
    /// The definition of the value, or of the list's elements.
    pub definition: Option<u16>,
}

const fn object(name: &'static str, definition: u16) -> Field {
    Field { name, keys: None, definition: Some(definition) }
}

const fn list(name: &'static str, keys: &'static [&'static str]) -> Field {
    Field { name, keys: Some(keys), definition: None }
}

const fn objects(name: &'static str, keys: &'static [&'static str], definition: u16) -> Field {
    Field { name, keys: Some(keys), definition: Some(definition) }
}

/// (group, version, kind) to definition, sorted.
pub const KINDS: &[(&str, &str, &str, u16)] = &[
    ("", "v1", "Binding", 45),
    ("", "v1", "ComponentStatus", 46),
    ("", "v1", "ConfigMap", 47),
    ("", "v1", "Endpoints", 49),
    ("", "v1", "Event", 52),
    ("", "v1", "LimitRange", 53),
    ("", "v1", "Namespace", 54),
    ("", "v1", "Node", 56),
    ("", "v1", "PersistentVolume", 59),
    ("", "v1", "PersistentVolumeClaim", 60),
    ("", "v1", "Pod", 63),
    ("", "v1", "PodTemplate", 66),
    ("", "v1", "ReplicationController", 68),
    ("", "v1", "ResourceQuota", 71),
    ("", "v1", "Secret", 72),
    ("", "v1", "Service", 73),
    ("", "v1", "ServiceAccount", 74),
    ("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", 0),
    ("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", 1),
    ("admissionregistration.k8s.io", "v1beta1", "MutatingWebhookConfiguration", 2),
    ("admissionregistration.k8s.io", "v1beta1", "ValidatingWebhookConfiguration", 3),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", 119),
    ("apiextensions.k8s.io", "v1beta1", "CustomResourceDefinition", 120),
    ("apiregistration.k8s.io", "v1", "APIService", 122),
    ("apiregistration.k8s.io", "v1beta1", "APIService", 124),
    ("apps", "v1", "ControllerRevision", 4),
    ("apps", "v1", "DaemonSet", 5),
    ("apps", "v1", "Deployment", 8),
    ("apps", "v1", "ReplicaSet", 11),
    ("apps", "v1", "StatefulSet", 14),
    ("authentication.k8s.io", "v1", "TokenRequest", 17),
    ("authentication.k8s.io", "v1", "TokenReview", 18),
    ("authentication.k8s.io", "v1beta1", "TokenReview", 19),
    ("authorization.k8s.io", "v1", "LocalSubjectAccessReview", 20),
    ("authorization.k8s.io", "v1", "SelfSubjectAccessReview", 21),
    ("authorization.k8s.io", "v1", "SelfSubjectRulesReview", 22),
    ("authorization.k8s.io", "v1", "SubjectAccessReview", 23),
    ("authorization.k8s.io", "v1beta1", "LocalSubjectAccessReview", 24),
    ("authorization.k8s.io", "v1beta1", "SelfSubjectAccessReview", 25),
    ("authorization.k8s.io", "v1beta1", "SelfSubjectRulesReview", 26),
    ("authorization.k8s.io", "v1beta1", "SubjectAccessReview", 27),
    ("autoscaling", "v1", "HorizontalPodAutoscaler", 28),
    ("autoscaling", "v1", "Scale", 29),
    ("autoscaling", "v2beta1", "HorizontalPodAutoscaler", 30),
    ("autoscaling", "v2beta2", "HorizontalPodAutoscaler", 31),
    ("batch", "v1", "CronJob", 32),
    ("batch", "v1", "Job", 34),
    ("batch", "v1beta1", "CronJob", 38),
    ("certificates.k8s.io", "v1", "CertificateSigningRequest", 41),
    ("certificates.k8s.io", "v1beta1", "CertificateSigningRequest", 42),
    ("coordination.k8s.io", "v1", "Lease", 43),
    ("coordination.k8s.io", "v1beta1", "Lease", 44),
    ("discovery.k8s.io", "v1", "EndpointSlice", 78),
    ("discovery.k8s.io", "v1beta1", "EndpointSlice", 79),
    ("events.k8s.io", "v1", "Event", 80),
    ("events.k8s.io", "v1beta1", "Event", 81),
    ("extensions", "v1beta1", "Ingress", 82),
    ("flowcontrol.apiserver.k8s.io", "v1beta1", "FlowSchema", 83),
    ("flowcontrol.apiserver.k8s.io", "v1beta1", "PriorityLevelConfiguration", 84),
    ("networking.k8s.io", "v1", "Ingress", 85),
    ("networking.k8s.io", "v1", "IngressClass", 86),
    ("networking.k8s.io", "v1", "NetworkPolicy", 87),
    ("networking.k8s.io", "v1beta1", "Ingress", 88),
    ("networking.k8s.io", "v1beta1", "IngressClass", 89),
    ("node.k8s.io", "v1", "RuntimeClass", 90),
    ("node.k8s.io", "v1beta1", "RuntimeClass", 91),
    ("policy", "v1", "PodDisruptionBudget", 92),
    ("policy", "v1beta1", "Eviction", 94),
    ("policy", "v1beta1", "PodDisruptionBudget", 95),
    ("policy", "v1beta1", "PodSecurityPolicy", 97),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", 98),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", 99),
    ("rbac.authorization.k8s.io", "v1", "Role", 100),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", 101),
    ("rbac.authorization.k8s.io", "v1beta1", "ClusterRole", 102),
    ("rbac.authorization.k8s.io", "v1beta1", "ClusterRoleBinding", 103),
    ("rbac.authorization.k8s.io", "v1beta1", "Role", 104),
    ("rbac.authorization.k8s.io", "v1beta1", "RoleBinding", 105),
    ("scheduling.k8s.io", "v1", "PriorityClass", 106),
    ("scheduling.k8s.io", "v1beta1", "PriorityClass", 107),
    ("storage.k8s.io", "v1", "CSIDriver", 108),
    ("storage.k8s.io", "v1", "CSINode", 109),
    ("storage.k8s.io", "v1", "StorageClass", 111),
    ("storage.k8s.io", "v1", "VolumeAttachment", 112),
    ("storage.k8s.io", "v1beta1", "CSIDriver", 113),
    ("storage.k8s.io", "v1beta1", "CSINode", 114),
    ("storage.k8s.io", "v1beta1", "CSIStorageCapacity", 116),
    ("storage.k8s.io", "v1beta1", "StorageClass", 117),
    ("storage.k8s.io", "v1beta1", "VolumeAttachment", 118),
];

/// The definitions.
pub const DEFINITIONS: &[&[Field]] = &[
    // 0: api.admissionregistration.v1.MutatingWebhookConfiguration
    &[object("metadata", 121), list("webhooks", &["name"])],
    // 1: api.admissionregistration.v1.ValidatingWebhookConfiguration
    &[object("metadata", 121), list("webhooks", &["name"])],
    // 2: api.admissionregistration.v1beta1.MutatingWebhookConfiguration
    &[object("metadata", 121), list("webhooks", &["name"])],
    // 3: api.admissionregistration.v1beta1.ValidatingWebhookConfiguration
    &[object("metadata", 121), list("webhooks", &["name"])],
    // 4: api.apps.v1.ControllerRevision
    &[object("metadata", 121)],
    // 5: api.apps.v1.DaemonSet
    &[object("metadata", 121), object("spec", 6), object("status", 7)],
    // 6: api.apps.v1.DaemonSetSpec
    &[object("template", 67)],
    // 7: api.apps.v1.DaemonSetStatus
    &[list("conditions", &["type"])],
    // 8: api.apps.v1.Deployment
    &[object("metadata", 121), object("spec", 9), object("status", 10)],
    // 9: api.apps.v1.DeploymentSpec
    &[object("template", 67)],
    // 10: api.apps.v1.DeploymentStatus
    &[list("conditions", &["type"])],
    // 11: api.apps.v1.ReplicaSet
    &[object("metadata", 121), object("spec", 12), object("status", 13)],
    // 12: api.apps.v1.ReplicaSetSpec
    &[object("template", 67)],
    // 13: api.apps.v1.ReplicaSetStatus
    &[list("conditions", &["type"])],
    // 14: api.apps.v1.StatefulSet
    &[object("metadata", 121), object("spec", 15), object("status", 16)],
    // 15: api.apps.v1.StatefulSetSpec
    &[object("template", 67)],
    // 16: api.apps.v1.StatefulSetStatus
    &[list("conditions", &["type"])],
    // 17: api.authentication.v1.TokenRequest
    &[object("metadata", 121)],
    // 18: api.authentication.v1.TokenReview
    &[object("metadata", 121)],
    // 19: api.authentication.v1beta1.TokenReview
    &[object("metadata", 121)],
    // 20: api.authorization.v1.LocalSubjectAccessReview
    &[object("metadata", 121)],
    // 21: api.authorization.v1.SelfSubjectAccessReview
    &[object("metadata", 121)],
    // 22: api.authorization.v1.SelfSubjectRulesReview
    &[object("metadata", 121)],
    // 23: api.authorization.v1.SubjectAccessReview
    &[object("metadata", 121)],
    // 24: api.authorization.v1beta1.LocalSubjectAccessReview
    &[object("metadata", 121)],
    // 25: api.authorization.v1beta1.SelfSubjectAccessReview
    &[object("metadata", 121)],
    // 26: api.authorization.v1beta1.SelfSubjectRulesReview
    &[object("metadata", 121)],
    // 27: api.authorization.v1beta1.SubjectAccessReview
    &[object("metadata", 121)],
    // 28: api.autoscaling.v1.HorizontalPodAutoscaler
    &[object("metadata", 121)],
    // 29: api.autoscaling.v1.Scale
    &[object("metadata", 121)],
    // 30: api.autoscaling.v2beta1.HorizontalPodAutoscaler
    &[object("metadata", 121)],
    // 31: api.autoscaling.v2beta2.HorizontalPodAutoscaler
    &[object("metadata", 121)],
    // 32: api.batch.v1.CronJob
    &[object("metadata", 121), object("spec", 33)],
    // 33: api.batch.v1.CronJobSpec
    &[object("jobTemplate", 37)],
    // 34: api.batch.v1.Job
    &[object("metadata", 121), object("spec", 35), object("status", 36)],
    // 35: api.batch.v1.JobSpec
    &[object("template", 67)],
    // 36: api.batch.v1.JobStatus
    &[list("conditions", &["type"])],
    // 37: api.batch.v1.JobTemplateSpec
    &[object("metadata", 121), object("spec", 35)],
    // 38: api.batch.v1beta1.CronJob
    &[object("metadata", 121), object("spec", 39)],
    // 39: api.batch.v1beta1.CronJobSpec
    &[object("jobTemplate", 40)],
    // 40: api.batch.v1beta1.JobTemplateSpec
    &[object("metadata", 121), object("spec", 35)],
    // 41: api.certificates.v1.CertificateSigningRequest
    &[object("metadata", 121)],
    // 42: api.certificates.v1beta1.CertificateSigningRequest
    &[object("metadata", 121)],
    // 43: api.coordination.v1.Lease
    &[object("metadata", 121)],
    // 44: api.coordination.v1beta1.Lease
    &[object("metadata", 121)],
    // 45: api.core.v1.Binding
    &[object("metadata", 121)],
    // 46: api.core.v1.ComponentStatus
    &[list("conditions", &["type"]), object("metadata", 121)],
    // 47: api.core.v1.ConfigMap
    &[object("metadata", 121)],
    // 48: api.core.v1.Container
    &[
        list("env", &["name"]),
        list("ports", &["containerPort", "protocol"]),
        list("volumeDevices", &["devicePath"]),
        list("volumeMounts", &["mountPath"]),
    ],
    // 49: api.core.v1.Endpoints
    &[object("metadata", 121)],
    // 50: api.core.v1.EphemeralContainer
    &[list("env", &["name"]), list("volumeDevices", &["devicePath"]), list("volumeMounts", &["mountPath"])],
    // 51: api.core.v1.EphemeralVolumeSource
    &[object("volumeClaimTemplate", 62)],
    // 52: api.core.v1.Event
    &[object("metadata", 121)],
    // 53: api.core.v1.LimitRange
    &[object("metadata", 121)],
    // 54: api.core.v1.Namespace
    &[object("metadata", 121), object("status", 55)],
    // 55: api.core.v1.NamespaceStatus
    &[list("conditions", &["type"])],
    // 56: api.core.v1.Node
    &[object("metadata", 121), object("spec", 57), object("status", 58)],
    // 57: api.core.v1.NodeSpec
    &[list("podCIDRs", &[])],
    // 58: api.core.v1.NodeStatus
    &[list("addresses", &["type"]), list("conditions", &["type"])],
    // 59: api.core.v1.PersistentVolume
    &[object("metadata", 121)],
    // 60: api.core.v1.PersistentVolumeClaim
    &[object("metadata", 121), object("status", 61)],
    // 61: api.core.v1.PersistentVolumeClaimStatus
    &[list("conditions", &["type"])],
    // 62: api.core.v1.PersistentVolumeClaimTemplate
    &[object("metadata", 121)],
    // 63: api.core.v1.Pod
    &[object("metadata", 121), object("spec", 64), object("status", 65)],
    // 64: api.core.v1.PodSpec
    &[
        objects("containers", &["name"], 48),
        objects("ephemeralContainers", &["name"], 50),
        list("hostAliases", &["ip"]),
        list("imagePullSecrets", &["name"]),
        objects("initContainers", &["name"], 48),
        list("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
        objects("volumes", &["name"], 77),
    ],
    // 65: api.core.v1.PodStatus
    &[list("conditions", &["type"]), list("podIPs", &["ip"])],
    // 66: api.core.v1.PodTemplate
    &[object("metadata", 121), object("template", 67)],
    // 67: api.core.v1.PodTemplateSpec
    &[object("metadata", 121), object("spec", 64)],
    // 68: api.core.v1.ReplicationController
    &[object("metadata", 121), object("spec", 69), object("status", 70)],
    // 69: api.core.v1.ReplicationControllerSpec
    &[object("template", 67)],
    // 70: api.core.v1.ReplicationControllerStatus
    &[list("conditions", &["type"])],
    // 71: api.core.v1.ResourceQuota
    &[object("metadata", 121)],
    // 72: api.core.v1.Secret
    &[object("metadata", 121)],
    // 73: api.core.v1.Service
    &[object("metadata", 121), object("spec", 75), object("status", 76)],
    // 74: api.core.v1.ServiceAccount
    &[object("metadata", 121), list("secrets", &["name"])],
    // 75: api.core.v1.ServiceSpec
    &[list("ports", &["port", "protocol"])],
    // 76: api.core.v1.ServiceStatus
    &[list("conditions", &["type"])],
    // 77: api.core.v1.Volume
    &[object("ephemeral", 51)],
    // 78: api.discovery.v1.EndpointSlice
    &[object("metadata", 121)],
    // 79: api.discovery.v1beta1.EndpointSlice
    &[object("metadata", 121)],
    // 80: api.events.v1.Event
    &[object("metadata", 121)],
    // 81: api.events.v1beta1.Event
    &[object("metadata", 121)],
    // 82: api.extensions.v1beta1.Ingress
    &[object("metadata", 121)],
    // 83: api.flowcontrol.v1beta1.FlowSchema
    &[object("metadata", 121)],
    // 84: api.flowcontrol.v1beta1.PriorityLevelConfiguration
    &[object("metadata", 121)],
    // 85: api.networking.v1.Ingress
    &[object("metadata", 121)],
    // 86: api.networking.v1.IngressClass
    &[object("metadata", 121)],
    // 87: api.networking.v1.NetworkPolicy
    &[object("metadata", 121)],
    // 88: api.networking.v1beta1.Ingress
    &[object("metadata", 121)],
    // 89: api.networking.v1beta1.IngressClass
    &[object("metadata", 121)],
    // 90: api.node.v1.RuntimeClass
    &[object("metadata", 121)],
    // 91: api.node.v1beta1.RuntimeClass
    &[object("metadata", 121)],
    // 92: api.policy.v1.PodDisruptionBudget
    &[object("metadata", 121), object("status", 93)],
    // 93: api.policy.v1.PodDisruptionBudgetStatus
    &[list("conditions", &["type"])],
    // 94: api.policy.v1beta1.Eviction
    &[object("metadata", 121)],
    // 95: api.policy.v1beta1.PodDisruptionBudget
    &[object("metadata", 121), object("status", 96)],
    // 96: api.policy.v1beta1.PodDisruptionBudgetStatus
    &[list("conditions", &["type"])],
    // 97: api.policy.v1beta1.PodSecurityPolicy
    &[object("metadata", 121)],
    // 98: api.rbac.v1.ClusterRole
    &[object("metadata", 121)],
    // 99: api.rbac.v1.ClusterRoleBinding
    &[object("metadata", 121)],
    // 100: api.rbac.v1.Role
    &[object("metadata", 121)],
    // 101: api.rbac.v1.RoleBinding
    &[object("metadata", 121)],
    // 102: api.rbac.v1beta1.ClusterRole
    &[object("metadata", 121)],
    // 103: api.rbac.v1beta1.ClusterRoleBinding
    &[object("metadata", 121)],
    // 104: api.rbac.v1beta1.Role
    &[object("metadata", 121)],
    // 105: api.rbac.v1beta1.RoleBinding
    &[object("metadata", 121)],
    // 106: api.scheduling.v1.PriorityClass
    &[object("metadata", 121)],
    // 107: api.scheduling.v1beta1.PriorityClass
    &[object("metadata", 121)],
    // 108: api.storage.v1.CSIDriver
    &[object("metadata", 121)],
    // 109: api.storage.v1.CSINode
    &[object("metadata", 121), object("spec", 110)],
    // 110: api.storage.v1.CSINodeSpec
    &[list("drivers", &["name"])],
    // 111: api.storage.v1.StorageClass
    &[object("metadata", 121)],
    // 112: api.storage.v1.VolumeAttachment
    &[object("metadata", 121)],
    // 113: api.storage.v1beta1.CSIDriver
    &[object("metadata", 121)],
    // 114: api.storage.v1beta1.CSINode
    &[object("metadata", 121), object("spec", 115)],
    // 115: api.storage.v1beta1.CSINodeSpec
    &[list("drivers", &["name"])],
    // 116: api.storage.v1beta1.CSIStorageCapacity
    &[object("metadata", 121)],
    // 117: api.storage.v1beta1.StorageClass
    &[object("metadata", 121)],
    // 118: api.storage.v1beta1.VolumeAttachment
    &[object("metadata", 121)],
    // 119: apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition
    &[object("metadata", 121)],
    // 120: apiextensions-apiserver.pkg.apis.apiextensions.v1beta1.CustomResourceDefinition
    &[object("metadata", 121)],
    // 121: apimachinery.pkg.apis.meta.v1.ObjectMeta
    &[list("finalizers", &[]), list("ownerReferences", &["uid"])],
    // 122: kube-aggregator.pkg.apis.apiregistration.v1.APIService
    &[object("metadata", 121), object("status", 123)],
    // 123: kube-aggregator.pkg.apis.apiregistration.v1.APIServiceStatus
    &[list("conditions", &["type"])],
    // 124: kube-aggregator.pkg.apis.apiregistration.v1beta1.APIService
    &[object("metadata", 121), object("status", 125)],
    // 125: kube-aggregator.pkg.apis.apiregistration.v1beta1.APIServiceStatus
    &[list("conditions", &["type"])],
];
