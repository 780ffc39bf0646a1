//! What our pages share: their looks, what can be searched and turned over, text and times.
//!
//! A page is a pure function of data, and works without script. What it shows is text from anybody:
//! it is escaped, its invisible characters are shown, and what is long is cut.
//!
//! - [`head`], [`header`], [`status`]: what stands around the list.
//! - [`List`], [`Query`], [`has_words`]: which part of the list is shown.
//! - [`text`], [`time`], [`quantity`]: what is in it.
//! - `base.css` and `base.js`, which each page's own files follow.

mod list;
pub mod quantity;
mod query;
pub mod text;
pub mod time;

use maud::{Markup, html};

pub use list::List;
pub use query::{Query, has_words};
use text::visible;

/// The icon of the pages, an SVG image.
pub const ICON: &str = include_str!("icon.svg");

/// The `Content-Security-Policy` to serve a page with: nothing but its style sheet, its script and its
/// icon is loaded, and no script that got into the page would run.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; \
    script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'";

/// The head of the page of this title below the route prefix `base`.
pub fn head(title: &str, base: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="referrer" content="no-referrer";
            title { (title) }
            link rel="icon" type="image/svg+xml" href={ (base) "/static/icon.svg" };
            link rel="stylesheet" href={ (base) "/static/page.css" };
            script src={ (base) "/static/page.js" } defer {}
        }
    }
}

/// The top of the page, with a link to what `api` names.
pub fn header(title: &str, base: &str, api: &str) -> Markup {
    html! {
        header {
            h1 { a href={ (base) "/" } { (title) } }
            nav aria-label="Metrics" {
                a href={ (base) "/metrics" } { "Metrics" }
                a href={ (base) (api) } { "API" }
            }
        }
    }
}

/// Names and values at the bottom of the page.
pub fn status(status: &[(&str, String)]) -> Markup {
    html! {
        details .status {
            summary { h2 { "Status" } }
            dl {
                @for (name, value) in status {
                    dt { (visible(name)) }
                    dd { (visible(value)) }
                }
            }
        }
    }
}
