//! The binary, as people and programs use it: real processes, files and sockets.

mod money;
mod process;
mod verbs;
