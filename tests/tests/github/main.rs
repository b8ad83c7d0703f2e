//! `lapdev-forge` against the GitHub double, fault by fault; and the double itself against GitHub's published
//! description and sample webhooks, so that what passes here has a meaning for GitHub.

mod access;
mod double;
mod listing;
mod stage;
mod webhooks;
mod writing;
