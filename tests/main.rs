//! Tests that drive the built binary as a user does: one file per capability.
//!
//! `common` is the harness. The feature `real-servers` turns on the tests that need a real
//! Pushgateway and a real Prometheus; `scripts/test` sets it.

#[macro_use]
mod common;

#[cfg(feature = "real-servers")]
mod accessibility;
#[cfg(feature = "real-servers")]
mod alert_chain;
mod anomaly;
mod backup;
mod binary;
mod command;
mod completion;
mod concurrency;
mod consistency;
mod credentials;
#[cfg(feature = "real-servers")]
mod cron;
#[cfg(feature = "real-servers")]
mod decay;
mod delete;
mod delete_match;
#[cfg(feature = "real-servers")]
mod delivery_faults;
mod delivery_retries;
mod demo;
mod docs_http_api;
#[cfg(feature = "real-servers")]
mod docs_metrics;
#[cfg(feature = "real-servers")]
mod docs_snippets;
mod doctor;
mod dry_run;
mod embedded_index;
mod encoding;
#[cfg(feature = "real-servers")]
mod example_programs;
mod examples;
mod exec;
mod exec_terminal;
mod exit_codes;
mod expectations;
mod fault_proxy;
mod fixed_names;
mod forget;
mod fuzz_corpus;
mod gateway_aggregation;
mod gateway_aggregation_faults;
#[cfg(feature = "real-servers")]
mod gateway_clients;
mod gateway_cost;
mod gateway_crash;
#[cfg(feature = "real-servers")]
mod gateway_differential;
mod gateway_failures;
mod gateway_histograms;
mod gateway_hostile;
#[cfg(feature = "real-servers")]
mod gateway_import;
#[cfg(feature = "real-servers")]
mod gateway_origin;
#[cfg(feature = "real-servers")]
mod gateway_page;
#[cfg(feature = "real-servers")]
mod gateway_page_match;
mod gateway_server;
mod gateway_spelling;
mod gateway_state;
#[cfg(feature = "real-servers")]
mod gateway_systemd;
mod gateway_ttl;
mod gateway_url;
mod gateway_utf8;
mod generate;
mod generate_alertmanager;
mod generate_crontab;
mod generate_dashboard;
mod generate_kubernetes;
mod generate_rules;
mod generate_systemd;
mod grouping_key;
mod healthcheck;
mod help;
mod history;
#[cfg(feature = "real-servers")]
mod host_clash;
mod host_config;
mod host_settings;
#[cfg(feature = "real-servers")]
mod hostile_pushes;
mod interrupt;
mod job_arrays;
mod job_files;
mod job_gateway;
mod json_api;
mod json_output;
mod junit;
mod library_job;
#[cfg(feature = "real-servers")]
mod library_outside;
mod live;
mod lock;
mod messages;
mod method;
mod metric;
mod metric_stdin;
mod metrics_kept;
mod notify;
mod outbox;
mod outbox_model;
mod output;
mod output_lines;
mod output_metrics;
mod own_secrets;
mod panics;
mod pipes;
#[cfg(feature = "real-servers")]
mod postgres_backup;
mod probe;
mod probe_several;
#[cfg(feature = "real-servers")]
mod prometheus;
mod protobuf;
mod proxy;
mod push;
mod push_openmetrics;
mod pusher;
mod random;
mod readme;
mod redirects;
mod refused_metrics;
mod remote_write;
mod require_push;
mod retries;
mod roundtrip;
#[cfg(feature = "real-servers")]
mod schedules;
mod scrape_match;
mod secrets;
mod self_metrics;
#[cfg(feature = "real-servers")]
mod serve_api;
mod serve_end;
mod serve_gateway;
#[cfg(feature = "real-servers")]
mod serve_health;
#[cfg(feature = "real-servers")]
mod serve_hostile;
#[cfg(feature = "real-servers")]
mod serve_labels;
mod serve_live;
#[cfg(feature = "real-servers")]
mod serve_load;
#[cfg(feature = "real-servers")]
mod serve_metrics;
#[cfg(feature = "real-servers")]
mod serve_page;
#[cfg(feature = "real-servers")]
mod serve_permission;
#[cfg(feature = "real-servers")]
mod serve_push;
mod serve_reload;
mod serve_schedule;
#[cfg(feature = "real-servers")]
mod set_ups;
mod settings;
mod settings_matrix;
mod several_gateways;
mod signals;
mod sqlite_backup;
mod state_backup;
mod state_command;
mod state_damage;
mod state_dir;
#[cfg(feature = "real-servers")]
mod state_salvage;
mod state_schema;
mod state_size;
mod state_unwritable;
mod status;
mod status_check;
#[cfg(feature = "real-servers")]
mod strangers;
mod tables;
mod terminal;
mod textfile;
mod timeout;
mod timeout_escape;
mod tls;
#[cfg(feature = "real-servers")]
mod tutorial;
#[cfg(feature = "real-servers")]
mod two_gateways;
#[cfg(feature = "real-servers")]
mod type_table;
#[cfg(feature = "real-servers")]
mod upgrade;
mod web;
mod web_config;
mod web_metrics;
