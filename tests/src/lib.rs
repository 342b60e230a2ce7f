//! Tests that need more than one crate, or a process of their own. They are in `it/` and
//! `it_alloc/`; there is nothing here.
