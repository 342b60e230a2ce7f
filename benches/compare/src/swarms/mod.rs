//! Clients of other servers, for the same load as the project's own.

pub(crate) mod forwarder;
pub(crate) mod mumble;
