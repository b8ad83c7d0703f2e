//! lapdev-forge
