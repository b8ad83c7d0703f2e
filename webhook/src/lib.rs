//! lapdev-webhook
