//! Which language a workload is written in, as far as its pod template tells: for the advice on the tracing library that
//! drops the key. Pure. A wrong answer costs more than none, so what contradicts itself is none.

use super::template;
use lapdev_api::{bundle::Bundle, route::RoutedService};
use serde_json::Value;
use std::collections::BTreeSet;

/// Programs that are the language's own, as a command's first word or as part of an image's name.
const PROGRAMS: [(&str, &[&str]); 8] = [
    ("node", &["node", "nodejs", "npm", "npx", "yarn", "pnpm", "next", "nest"]),
    ("java", &["java", "openjdk", "jdk", "jre", "temurin", "corretto", "spring", "quarkus", "tomcat", "kotlin"]),
    ("python", &["python", "python3", "gunicorn", "uvicorn", "flask", "django", "fastapi", "celery", "hypercorn"]),
    ("dotnet", &["dotnet", "aspnet", "aspnetcore"]),
    ("go", &["go", "golang"]),
    ("ruby", &["ruby", "rails", "bundle", "puma", "sidekiq", "rackup"]),
    ("php", &["php", "php-fpm", "laravel", "symfony"]),
    ("rust", &["rust"]),
];
/// How environment variables begin that only the language's own runtime or tools read.
const VARIABLES: [(&str, &[&str]); 8] = [
    ("node", &["NODE_OPTIONS", "NODE_ENV", "NPM_CONFIG_"]),
    ("java", &["JAVA_TOOL_OPTIONS", "JAVA_OPTS", "JDK_JAVA_OPTIONS", "JVM_", "CATALINA_", "SPRING_"]),
    ("python", &["PYTHON", "GUNICORN_", "UVICORN_", "DJANGO_", "FLASK_"]),
    ("dotnet", &["DOTNET_", "ASPNETCORE_", "CORECLR_"]),
    ("go", &["GOTRACEBACK", "GOMAXPROCS", "GOMEMLIMIT", "GOGC", "GODEBUG"]),
    ("ruby", &["RAILS_", "RACK_ENV", "RUBYOPT", "BUNDLE_"]),
    ("php", &["PHP_", "LARAVEL_"]),
    ("rust", &["RUST_LOG", "RUST_BACKTRACE"]),
];
/// How files end that a command names.
const FILES: [(&str, &str); 6] =
    [("java", ".jar"), ("python", ".py"), ("node", ".js"), ("node", ".mjs"), ("dotnet", ".dll"), ("ruby", ".rb")];
/// Containers that others put beside the team's own.
const SIDECARS: [&str; 4] = ["istio-proxy", "linkerd-proxy", "cloud-sql-proxy", "otel-collector"];

/// The language of the workload behind a routed Service.
#[must_use]
pub fn of_service(bundle: &Bundle, routed: &RoutedService) -> Option<&'static str> {
    let selector = template::selector(bundle, &routed.baseline)?;
    let told: BTreeSet<_> =
        template::selected(bundle, selector).filter_map(|template| of_pod(template.get("spec")?)).collect();
    single(&told)
}

/// What tells most comes first: the command, the variables, the image's name.
fn of_pod(spec: &Value) -> Option<&'static str> {
    let containers = spec.get("containers").and_then(Value::as_array)?;
    let own: Vec<_> =
        containers.iter().filter(|container| !SIDECARS.iter().any(|name| container["name"] == *name)).collect();
    let kinds: [fn(&Value) -> BTreeSet<&'static str>; 3] = [by_command, by_variables, by_image];
    kinds.into_iter().find_map(|tell| {
        let told: BTreeSet<_> = own.iter().flat_map(|container| tell(container)).collect();
        (!told.is_empty()).then(|| single(&told))
    })?
}

fn single(told: &BTreeSet<&'static str>) -> Option<&'static str> {
    told.first().copied().filter(|_| told.len() == 1)
}

fn by_command(container: &Value) -> BTreeSet<&'static str> {
    let words = ["command", "args"].into_iter().filter_map(|key| container.get(key)?.as_array()).flatten();
    let words: Vec<&str> = words.filter_map(Value::as_str).flat_map(str::split_whitespace).collect();
    let program = words.first().map(|first| first.rsplit('/').next().unwrap_or_default());
    let mut told: BTreeSet<_> = program.into_iter().flat_map(programs).collect();
    for (language, ending) in FILES {
        if words.iter().any(|word| word.ends_with(ending)) {
            told.insert(language);
        }
    }
    told
}

fn by_variables(container: &Value) -> BTreeSet<&'static str> {
    let variables = container.get("env").and_then(Value::as_array).into_iter().flatten();
    let names = variables.filter_map(|variable| variable.get("name")?.as_str());
    let told = names.flat_map(|name| {
        VARIABLES.into_iter().filter(move |(_, begins)| begins.iter().any(|begin| name.starts_with(begin)))
    });
    told.map(|(language, _)| language).collect()
}

fn by_image(container: &Value) -> BTreeSet<&'static str> {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let name = image.split('@').next().unwrap_or_default();
    // The host and the organization say nothing.
    let name = name.rsplit('/').next().unwrap_or_default();
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric());
    parts.flat_map(|part| programs(part.trim_end_matches(|c: char| c.is_ascii_digit()))).collect()
}

fn programs(word: &str) -> impl Iterator<Item = &'static str> {
    PROGRAMS.into_iter().filter(move |(_, names)| names.contains(&word)).map(|(language, _)| language)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use serde_json::json;

    fn told(container: &Value) -> Option<&'static str> {
        of_pod(&json!({"containers": [container, {"name": "istio-proxy", "image": "envoy-go"}]}))
    }

    #[test]
    fn the_command_tells_most_then_variables_then_the_image() {
        assert_eq!(told(&json!({"command": ["/usr/bin/java", "-jar", "app.jar"], "image": "web"})), Some("java"));
        assert_eq!(told(&json!({"command": ["./run.sh"], "args": ["server.js"], "image": "python"})), Some("node"));
        assert_eq!(told(&json!({"env": [{"name": "PYTHONUNBUFFERED"}], "image": "x/web"})), Some("python"));
        assert_eq!(told(&json!({"env": [{"name": "GOTRACEBACK"}], "image": "node"})), Some("go"));
        assert_eq!(told(&json!({"env": [{"name": "ASPNETCORE_URLS"}]})), Some("dotnet"));
        assert_eq!(told(&json!({"image": "registry.example.com/go/web-node20:1.2"})), Some("node"));
        assert_eq!(told(&json!({"image": "ghcr.io/acme/checkout:eclipse-temurin-21"})), Some("java"));
    }

    #[test]
    fn what_is_not_sure_is_not_said() {
        assert_eq!(told(&json!({"image": "ghcr.io/golang/cart@sha256:abc"})), None, "an organization is no language");
        assert_eq!(told(&json!({"image": "cargo:1"})), None);
        assert_eq!(told(&json!({"env": [{"name": "NODE_ENV"}, {"name": "RAILS_ENV"}], "image": "ruby"})), None);
        assert_eq!(of_pod(&json!({})), None);
    }

    #[test]
    fn the_templates_behind_the_original_are_asked() {
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web--baseline"},
            "spec": {"selector": {"app": "web"}}});
        let workload = |app: &str, image: &str| {
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app}, "spec": {"template": {
                "metadata": {"labels": {"app": app}}, "spec": {"containers": [{"image": image}]}}}})
        };
        let bundle = fixture::bundle(vec![service, workload("web", "node"), workload("cart", "python")]);
        let routed =
            |baseline: &str| RoutedService { baseline: baseline.into(), ports: vec![], affinity_seconds: None };
        assert_eq!(of_service(&bundle, &routed("web--baseline")), Some("node"));
        assert_eq!(of_service(&bundle, &routed("cart--baseline")), None);
    }
}
