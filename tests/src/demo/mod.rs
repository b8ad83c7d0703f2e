//! `make demo`: lapdev's main job from start to end, on a real Kubernetes, with everything that a team has but GitHub
//! itself. Each step says how long it took; whatever happens, nothing stays behind.

mod story;

pub use story::run;
