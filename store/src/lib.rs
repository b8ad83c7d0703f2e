//! lapdev-store
