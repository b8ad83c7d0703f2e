//! The agent on a real API server, under the ServiceAccount, roles and admission policy of its chart, never as admin:
//! what it applies, repairs, leaves alone, removes, and may not do.

mod access;
mod applying;
mod blind;
mod ending;
mod gate;
mod lab;
mod logs;
mod mesh;
mod objects;
mod repair;
mod restart;
mod routers;
mod routing;
