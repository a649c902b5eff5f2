//! The Docker Engine API over wharf's own engine: what docker's command line, compose and the SDKs
//! speak, answered by the same [`Backend`](wharf_backend::Backend) that the dashboard uses.
//!
//! [`socket`] makes or takes over the socket, [`serve`] accepts connections on it. A request is one
//! [`request::Ask`]; `route` finds the function of its method and path in `routes`, which asks or
//! commands the engine and makes docker's document of the answer. Whatever goes on after the head of
//! an answer is a stream that hyper drives: it is asked for more only when the client has taken what
//! there was, so a slow client costs a few buffers and nothing waits for one that has gone. Attached
//! streams leave HTTP altogether (`hijack`).
//!
//! The server keeps nothing that a container needs. What it has in memory is of its clients: attached
//! clients that wait for a start ([`waiting`]), and the ids of further programs ([`execs`]).

mod answer;
mod body;
mod create;
mod execs;
mod filters;
mod frames;
mod hijack;
mod line;
mod request;
mod route;
mod routes;
mod sampling;
mod server;
pub mod socket;
mod stream;
pub mod tls;
mod version;
mod waiting;
mod websocket;

pub use server::{Options, THREADS, serve};
