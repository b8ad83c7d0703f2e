//! lapdev-hub
