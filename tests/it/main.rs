//! Integration tests: the core in virtual time. One module for each kind of behaviour.

mod control;
mod gateway;
mod lifecycle;
mod people;
mod resume;
mod world;
