//! The same requests to Debian's Pushgateway and to `metricsjob gateway`: they answer with the same
//! status and show the same, at `/metrics` and in the API, apart from times, from what they tell about
//! themselves, and from what `differences` lists.

mod bodies;
mod difference;
mod differences;
mod embedded;
mod flags;
mod formats;
mod methods;
mod pair;
mod paths;
mod protobufs;
mod pushes;
mod random;
mod request;
mod shown;
mod texts;
