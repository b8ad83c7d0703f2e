//! lapdev-agent
