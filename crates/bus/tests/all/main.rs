//! Links between threads, and what a bad neighbour can do to one.

mod bad;
mod full;
mod links;
