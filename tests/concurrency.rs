//! Many processes at the same time on one state directory.

use crate::common::{Sandbox, finished, of_job};

#[test]
fn twenty_runs_into_a_new_embedded_gateway() {
    let sandbox = Sandbox::new();
    let children: Vec<_> = (0..20)
        .map(|n| {
            let line = format!("run backup -g n={n} --set duration=0s --set records={n}");
            sandbox.spawn(&mut sandbox.command(line.split(' ')))
        })
        .collect();
    for child in children {
        let run = finished(child);
        assert_eq!(run.code(0).stderr(), "");
    }
    let samples = sandbox.samples();
    for n in 0..20 {
        let series = format!(r#"db_backup_records_processed{{n="{n}"}}"#);
        assert_eq!(samples[&of_job("db_backup", &series)], f64::from(n));
    }
    assert_eq!(sandbox.outbox_len(), 0);
}

#[test]
fn twenty_pushes_into_one_group_lose_no_family() {
    let sandbox = Sandbox::new();
    let children: Vec<_> = (0..20)
        .map(|n| {
            let file = sandbox.write(&format!("{n}.prom"), format!("m{n} {n}\n"));
            let mut command = sandbox.command(["push", "--job", "j"]);
            sandbox.spawn(command.arg(file))
        })
        .collect();
    for child in children {
        finished(child).code(0);
    }
    let samples = sandbox.samples();
    for n in 0..20 {
        assert_eq!(samples[&of_job("j", &format!("m{n}"))], f64::from(n));
    }
}
