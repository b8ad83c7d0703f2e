//! The whole of lapdev on a stage: git repositories, the GitHub double, `lapdev serve` and an agent, as the processes
//! that users run, against whichever cluster a test or the demo brings. Everything ends with the stage.

mod agent;
mod cast;
pub mod chart;
mod control_plane;
mod dump;
pub mod forge;
mod gate;
mod guest;
mod images;
mod programs;
mod repository;
mod steps;
mod theatre;
mod wait;
mod wire;

pub use agent::AgentProcess;
pub use cast::Cast;
pub use control_plane::{ControlPlane, Place, Setup};
pub use dump::{dump, environment_namespaces};
pub use gate::Gate;
pub use guest::Soak;
pub use images::{Images, SERVICES};
pub use programs::{Program, Running};
pub use repository::Repository;
pub use steps::Steps;
pub use theatre::{Playbill, Theatre};
pub use wait::{until, within};
pub use wire::Wire;

/// What can go wrong on a stage: tests and the demo only print it.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
