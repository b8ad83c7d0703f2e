//! A proxy in front, as an ingress controller is one: nginx in a namespace of its own, which sends everybody's requests to
//! a routed Service by its name, over connections that it keeps, with `Host` rewritten.

use crate::{
    expected,
    house::{House, LIMIT, NAMESPACE, PORT, play},
    matrix::three_branches,
};
use lapdev_tests::{
    cluster::Image,
    stage::{Error, until, within},
    visitor::{Protocol, Question, Reply, What},
};
use std::path::Path;
use tokio::process::Command;

const IMAGE: &str = "localhost/ingress/nginx:stage";
/// The Service in front of it.
const FRONT_DOOR: &str = "ingress.ingress:80";
/// Rounds of requests over its kept connections.
const ROUNDS: usize = 10;

/// What ingress controllers write for `host: shop.example.com → service web`, in short: `$connection_upgrade` and the
/// `X-Forwarded-*` headers are theirs.
const CONFIG: &str = "
daemon off;
worker_processes 1;
pid /tmp/nginx.pid;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream web { server HOST:PORT; keepalive 8; }
  server {
    listen 8080;
    location / {
      proxy_pass http://web;
      proxy_http_version 1.1;
      proxy_set_header Host HOST;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }
  }
}
";

const OBJECTS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: ingress}
---
apiVersion: v1
kind: Pod
metadata: {name: nginx, namespace: ingress, labels: {app: nginx}}
spec:
  containers:
    - name: nginx
      image: IMAGE
      readinessProbe: {httpGet: {path: /alone, port: 8080}, periodSeconds: 1}
      volumeMounts:
        - {name: config, mountPath: /etc/ingress}
        - {name: scratch, mountPath: /tmp}
  volumes:
    - {name: config, configMap: {name: nginx}}
    - {name: scratch, emptyDir: {}}
---
apiVersion: v1
kind: Service
metadata: {name: ingress, namespace: ingress}
spec: {selector: {app: nginx}, ports: [{port: 80, targetPort: 8080}]}
"#;

#[test]
fn an_ingress_in_front_reaches_the_version_that_the_clients_header_names_over_one_connection_for_all() {
    play("an ingress in front", async |house| {
        let keys = three_branches(house).await?;
        let (client, nginx) = set_up(house).await?;
        let mut cases = vec![(vec![], None)];
        for (branch, key) in &keys {
            for name in ["tracestate", "baggage"] {
                cases.push((vec![(name.to_owned(), format!("lapdev={key}"))], Some((*branch, key.as_str()))));
            }
        }
        let cases: Vec<_> = std::iter::repeat_n(cases, ROUNDS).flatten().collect();
        for what in [What::Headers, What::Socket] {
            let questions: Vec<_> = cases.iter().map(|(headers, _)| question(what, headers)).collect();
            for ((headers, branch), reply) in cases.iter().zip(house.cast.ask(&questions).await?) {
                let version = expected::version("web", *branch);
                let fits = reply.says["version"] == version && reply.served_by.as_ref() == Some(&version);
                within(fits, format!("{what:?} with {headers:?}, not by {version}: {reply:?}"))?;
                if what == What::Headers {
                    arrived(&reply, headers, &format!("{client}, {nginx}"))?;
                }
            }
        }
        let gone = ["delete", "namespace", "ingress", "--wait=false"];
        Ok(house.cast.cluster.kubectl(&gone, "").await.map(drop)?)
    });
}

/// The proxy's `Host`, the client's own headers, and everybody on the way, the client first.
fn arrived(reply: &Reply, headers: &[(String, String)], way: &str) -> Result<(), Error> {
    let seen = &reply.says["headers"];
    let own = headers.iter().all(|(name, value)| seen[name.as_str()] == *value);
    let proxys =
        seen["host"] == host() && seen["x-forwarded-host"] == FRONT_DOOR && seen["x-forwarded-proto"] == "http";
    within(own && proxys && seen["x-forwarded-for"] == way, format!("{headers:?} by way of {way} arrived as {reply:?}"))
}

/// The Service behind it, as the proxy names it.
fn host() -> String {
    format!("web.{NAMESPACE}.svc.cluster.local")
}

fn question(what: What, headers: &[(String, String)]) -> Question {
    Question { protocol: Protocol::Http1, to: FRONT_DOOR.to_owned(), what, headers: headers.to_vec() }
}

/// Starts the proxy; the addresses of its client and of itself.
async fn set_up(house: &House) -> Result<(String, String), Error> {
    let cluster = &house.cast.cluster;
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/debian-packages");
    let installed = Command::new(packages).arg("ingress").status().await?;
    within(installed.success(), "nginx is not installed, as was said above")?;
    let image = Image::of_program(IMAGE, Path::new("/usr/sbin/nginx"))?;
    cluster.load_image(&image.with_args(["-p", "/tmp", "-c", "/etc/ingress/nginx.conf", "-e", "stderr"])).await?;
    cluster.kubectl(&["apply", "-f", "-"], &OBJECTS.replace("IMAGE", IMAGE)).await?;
    let config = CONFIG.replace("HOST", &host()).replace("PORT", &PORT.to_string());
    let literal = format!("--from-literal=nginx.conf={config}");
    cluster.kubectl(&["create", "configmap", "nginx", "-n", "ingress", &literal], "").await?;
    until("the ingress answers", LIMIT, async || {
        let reply = house.cast.ask(&[question(What::Alone, &[])]).await?;
        within(reply[0].is_fine(), format!("{reply:?}"))
    })
    .await?;
    let address = async |pod: &str, namespace: &str| {
        let get = ["get", "pod", pod, "-n", namespace, "-o", "jsonpath={.status.podIP}"];
        house.cast.cluster.kubectl(&get, "").await
    };
    Ok((address("visitor", "default").await?, address("nginx", "ingress").await?))
}
