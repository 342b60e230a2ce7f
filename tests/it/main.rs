//! Integration tests: the core in virtual time. One module for each kind of behaviour.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

mod api;
mod arrows;
mod bites;
mod catalogue;
mod clauses;
mod control;
mod cuts;
mod draft;
mod drain;
mod examples;
mod explain;
mod explain_steps;
mod gateway;
mod libraries;
mod lifecycle;
mod limits;
mod link;
mod membership;
mod people;
mod places;
mod profiles;
mod proxies;
mod resume;
mod revisions;
mod roles;
mod spread;
mod trace;
mod world;
