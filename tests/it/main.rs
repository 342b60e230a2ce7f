//! Tests over the whole workspace.

mod arrows;
