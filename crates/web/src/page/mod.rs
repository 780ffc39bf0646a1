//! Common parts of our pages: the look, search and paging, text and times.
//!
//! A page is a pure function of data, and works without script. It shows text from untrusted sources: that is
//! escaped, its invisible characters are made visible, and long text is cut.
//!
//! - [`head`], [`skip_link`], [`header`], [`status`]: the frame around the list.
//! - [`List`], [`Query`], [`has_words`]: the part of the list that is shown.
//! - [`text`], [`time`], [`quantity`]: its contents.
//! - [`style`] and [`script`]: what all pages share of them, to which each page adds its own.

mod list;
pub mod quantity;
mod query;
pub mod text;
pub mod time;

use maud::{Markup, html};

pub use list::{List, ListWords, SummaryPart};
pub use query::{Query, has_words};
use text::visible;

/// Icon of the pages, an SVG image.
pub const ICON: &str = include_str!("icon.svg");

/// The `Content-Security-Policy` to serve a page with: it loads nothing but its style sheet, its script and
/// its icon, and a script injected into the page would not run.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; \
    script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'";

/// Style sheet of a page that adds `own`.
pub fn style(own: &str) -> String {
    format!("{}\n{own}", include_str!("base.css"))
}

/// Script of a page that adds `own`.
pub fn script(own: &str) -> String {
    format!("{}\n{own}", include_str!("base.js"))
}

/// Returns the head of the page with this title below the route prefix `base`.
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

/// Returns a link from the start of the page to the element `id`, visible while it has the focus.
pub fn skip_link(id: &str, text: &str) -> Markup {
    html! {
        a .skip href={ "#" (id) } { (text) }
    }
}

/// Returns the top of the page, with a link to the API at the path `api`.
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

/// Returns names and values for the bottom of the page.
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
