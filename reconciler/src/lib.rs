//! lapdev-reconciler
