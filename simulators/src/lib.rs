//! Stand-ins for the services of others that a payments core talks to.
//!
//! They are real servers that run in processes of their own, so that what is tested against them
//! is what happens on a wire: answers that never come, connections that break, notices that arrive
//! twice. What they do is ruled by what they are sent, never by chance.

pub mod psp;
