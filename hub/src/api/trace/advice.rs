//! What makes a program of each language pass the key on: two lines each, for OpenTelemetry, whose propagators
//! `tracecontext,baggage` carry both headers. docs/routing.md shows the same.

/// By language, as agents name it: how people call it, and the two lines.
pub(super) const LANGUAGES: [(&str, &str, [&str; 2]); 9] = [
    (
        "go",
        "Go",
        [
            "otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))",
            "wrap with otelhttp.NewHandler and otelhttp.NewTransport (gRPC: otelgrpc.NewServerHandler, NewClientHandler), and hand the request's ctx to every call",
        ],
    ),
    (
        "java",
        "Java",
        [
            "java -javaagent:opentelemetry-javaagent.jar with OTEL_PROPAGATORS=tracecontext,baggage",
            "work that moves to a thread of your own needs Context.current().wrap(task)",
        ],
    ),
    (
        "node",
        "Node.js",
        [
            "node --require @opentelemetry/auto-instrumentations-node/register with OTEL_PROPAGATORS=tracecontext,baggage",
            "nothing may be required before it; ES modules also need --experimental-loader=@opentelemetry/instrumentation/hook.mjs",
        ],
    ),
    (
        "python",
        "Python",
        [
            "pip install opentelemetry-distro opentelemetry-exporter-otlp; opentelemetry-bootstrap -a install",
            "opentelemetry-instrument python app.py with OTEL_PROPAGATORS=tracecontext,baggage",
        ],
    ),
    (
        "dotnet",
        ".NET",
        [
            "builder.Services.AddOpenTelemetry().WithTracing(t => t.AddAspNetCoreInstrumentation().AddHttpClientInstrumentation())",
            "Sdk.SetDefaultTextMapPropagator(new CompositeTextMapPropagator([new TraceContextPropagator(), new BaggagePropagator()]))",
        ],
    ),
    (
        "ruby",
        "Ruby",
        [
            "gems opentelemetry-sdk and opentelemetry-instrumentation-all; OpenTelemetry::SDK.configure { |c| c.use_all }",
            "OTEL_PROPAGATORS=tracecontext,baggage",
        ],
    ),
    (
        "php",
        "PHP",
        [
            "pecl install opentelemetry; composer require open-telemetry/sdk and open-telemetry/opentelemetry-auto-… for your framework and HTTP client",
            "OTEL_PHP_AUTOLOAD_ENABLED=true OTEL_PROPAGATORS=tracecontext,baggage",
        ],
    ),
    (
        "rust",
        "Rust",
        [
            "global::set_text_map_propagator(TextMapCompositePropagator::new(vec![Box::new(TraceContextPropagator::new()), Box::new(BaggagePropagator::new())]))",
            "extract on the way in, inject on the way out: axum-tracing-opentelemetry, reqwest-tracing, or a tower layer of your own around tonic",
        ],
    ),
    (
        "cpp",
        "C++",
        [
            "GlobalTextMapPropagator::SetGlobalPropagator(a CompositePropagator of HttpTraceContext and BaggagePropagator)",
            "Extract into a Context where a request comes in, and Inject from it where one goes out: nothing does so by itself",
        ],
    ),
];

/// The two lines of a language; of one that is not known, the first line of each.
pub(super) fn advice(language: Option<&str>) -> Vec<String> {
    let known = language.and_then(|language| LANGUAGES.iter().find(|(name, _, _)| *name == language));
    match known {
        Some((_, _, lines)) => lines.map(str::to_owned).to_vec(),
        None => LANGUAGES.iter().map(|(_, name, [first, _])| format!("{name}: {first}")).collect(),
    }
}

/// How people call a language.
pub(super) fn called(language: &str) -> &str {
    LANGUAGES.iter().find(|(name, _, _)| *name == language).map_or(language, |(_, called, _)| called)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_language_has_its_two_lines_and_an_unknown_one_each_languages_first() {
        assert_eq!(advice(Some("go")).len(), 2);
        assert!(advice(Some("go"))[0].starts_with("otel.SetTextMapPropagator("));
        for unknown in [None, Some("cobol")] {
            assert_eq!(advice(unknown).len(), LANGUAGES.len());
            assert!(advice(unknown)[1].starts_with("Java: java -javaagent"));
        }
        assert_eq!((called("dotnet"), called("cobol")), (".NET", "cobol"));
    }

    #[test]
    fn the_documentation_says_the_same() {
        let page = include_str!("../../../../docs/routing.md");
        for (_, name, lines) in LANGUAGES {
            assert!(page.contains(&format!("| {name} |")), "docs/routing.md has no row for {name}");
            for line in lines {
                assert!(page.contains(&line.replace('|', "\\|")), "docs/routing.md does not say, for {name}: {line}");
            }
        }
    }
}
