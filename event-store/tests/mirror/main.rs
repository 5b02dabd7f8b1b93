//! The mirror against a real JetStream: sequence = position, whatever happens to the stream.

mod given;
mod mirroring;
