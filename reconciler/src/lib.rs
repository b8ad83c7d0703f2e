//! The thinking of lapdev: from a config repository and app repositories to what each cluster should hold, and to what
//! people read about it at the forge.
//!
//! The pipeline, each step a module: [`git`] fetches, [`load`] and [`validate`] read what a team declares, [`plan`] decides
//! which environments should be (pure, and the only place where one may end), [`render`] makes their bundles (pure),
//! [`publish`] puts both into the store, [`report`] tells the forge. [`run`] is the loop around them. Nothing here talks to
//! a cluster: agents fetch what the store holds, through the hub.

pub mod git;
pub mod load;
pub mod plan;
pub mod publish;
pub mod render;
pub mod report;
pub mod run;
pub mod validate;
