//! Rules of cron(8) for changes of the clock, on the changes of three zones; syntax; intervals.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use super::{Cron, Schedule, Zone};

/// The time in the zone, with its distance to UTC.
const SHOWN: &str = "%d %H:%M %:z";

fn cron(text: &str, zone: &str) -> Result<Schedule, String> {
    Schedule::cron(text, zone.parse().unwrap())
}

/// When it is due after `after` and before `until`, both in UTC.
fn due(text: &str, zone: &str, after: &str, until: &str) -> Vec<String> {
    let time = |text: &str| SystemTime::from(text.parse::<Timestamp>().unwrap());
    let (schedule, until) = (cron(text, zone).unwrap(), time(until));
    let mut times = Vec::new();
    let mut at = time(after);
    while let Some(next) = schedule.next_after(at).filter(|next| *next < until) {
        assert!(next > at, "{text} in {zone}: {next:?} after {at:?}");
        let shown = Timestamp::try_from(next).unwrap();
        times.push(shown.in_tz(zone).unwrap().strftime(SHOWN).to_string());
        at = next;
    }
    times
}

/// On 29 March 2026 it is 03:00 after 01:59.
#[test]
fn skipped_hour_in_berlin() {
    let due = |text| {
        due(
            text,
            "Europe/Berlin",
            "2026-03-28T23:30:00Z",
            "2026-03-29T03:30:00Z",
        )
    };
    assert_eq!(due("30 2 * * *"), ["29 03:00 +02:00"]);
    assert_eq!(due("0,30 2 * * *"), ["29 03:00 +02:00"]);
    assert_eq!(due("30 1,3 * * *"), ["29 01:30 +01:00", "29 03:30 +02:00"]);
    assert_eq!(due("0 2-4 * * *"), ["29 03:00 +02:00", "29 04:00 +02:00"]);
    assert_eq!(
        due("*/30 * * * *"),
        [
            "29 01:00 +01:00",
            "29 01:30 +01:00",
            "29 03:00 +02:00",
            "29 03:30 +02:00",
            "29 04:00 +02:00",
            "29 04:30 +02:00",
            "29 05:00 +02:00",
        ]
    );
    assert_eq!(due("*/15 2 * * *"), [""; 0]);
    assert_eq!(due("0 */2 * * *"), ["29 04:00 +02:00"]);
    let hourly = [
        "29 01:00 +01:00",
        "29 03:00 +02:00",
        "29 04:00 +02:00",
        "29 05:00 +02:00",
    ];
    assert_eq!(due("@hourly"), hourly);
    assert_eq!(due("0 * * * *"), hourly);
    assert_eq!(due("0 1-5 * * *"), hourly);
    // The day of the month and of the week are those of the time that was skipped.
    assert_eq!(due("30 2 29 3 *"), ["29 03:00 +02:00"]);
    assert_eq!(due("30 2 * * mon"), [""; 0]);
    assert_eq!(due("15,45 30 2 * * *"), ["29 03:00 +02:00"]);
}

/// On 25 October 2026 it is 02:00 after 02:59.
#[test]
fn repeated_hour_in_berlin() {
    let due = |text| {
        due(
            text,
            "Europe/Berlin",
            "2026-10-24T22:30:00Z",
            "2026-10-25T03:00:00Z",
        )
    };
    assert_eq!(due("30 2 * * *"), ["25 02:30 +02:00"]);
    assert_eq!(due("0,30 2 * * *"), ["25 02:00 +02:00", "25 02:30 +02:00"]);
    assert_eq!(due("0 2-4 * * *"), ["25 02:00 +02:00", "25 03:00 +01:00"]);
    assert_eq!(
        due("*/30 * * * *"),
        [
            "25 01:00 +02:00",
            "25 01:30 +02:00",
            "25 02:00 +02:00",
            "25 02:30 +02:00",
            "25 02:00 +01:00",
            "25 02:30 +01:00",
            "25 03:00 +01:00",
            "25 03:30 +01:00",
        ]
    );
    let hourly = [
        "25 01:00 +02:00",
        "25 02:00 +02:00",
        "25 02:00 +01:00",
        "25 03:00 +01:00",
    ];
    assert_eq!(due("@hourly"), hourly);
    assert_eq!(due("0 * * * *"), hourly);
    assert_eq!(due("30 */2 * * *"), ["25 02:30 +02:00", "25 02:30 +01:00"]);
    assert_eq!(due("*/40 2 * * *").len(), 4);
}

/// A query within the second pass of the hour returns no time that the first one had.
#[test]
fn asked_in_the_repeated_hour() {
    let due = |text| {
        due(
            text,
            "Europe/Berlin",
            "2026-10-25T01:10:00Z",
            "2026-10-26T02:00:00Z",
        )
    };
    assert_eq!(due("30 2 * * *"), ["26 02:30 +01:00"]);
    assert_eq!(due("0 2-3 * * *")[0], "25 03:00 +01:00");
    assert_eq!(due("*/15 * * * *")[0], "25 02:15 +01:00");
}

/// On 8 March 2026 it is 03:00 after 01:59, on 1 November 01:00 after 01:59.
#[test]
fn both_changes_in_new_york() {
    let spring = |text| {
        due(
            text,
            "America/New_York",
            "2026-03-08T05:30:00Z",
            "2026-03-08T08:00:00Z",
        )
    };
    assert_eq!(spring("30 2 * * *"), ["08 03:00 -04:00"]);
    assert_eq!(spring("0 2-4 * * *"), ["08 03:00 -04:00"]);
    assert_eq!(
        spring("*/15 * * * *"),
        [
            "08 00:45 -05:00",
            "08 01:00 -05:00",
            "08 01:15 -05:00",
            "08 01:30 -05:00",
            "08 01:45 -05:00",
            "08 03:00 -04:00",
            "08 03:15 -04:00",
            "08 03:30 -04:00",
            "08 03:45 -04:00",
        ]
    );
    assert_eq!(spring("@hourly"), ["08 01:00 -05:00", "08 03:00 -04:00"]);
    let autumn = |text| {
        due(
            text,
            "America/New_York",
            "2026-11-01T04:30:00Z",
            "2026-11-01T08:00:00Z",
        )
    };
    assert_eq!(autumn("30 1 * * *"), ["01 01:30 -04:00"]);
    assert_eq!(autumn("30 2 * * *"), ["01 02:30 -05:00"]);
    assert_eq!(
        autumn("0 1-2 * * *"),
        ["01 01:00 -04:00", "01 02:00 -05:00"]
    );
    assert_eq!(autumn("*/15 * * * *").len(), 13);
    assert_eq!(
        autumn("@hourly"),
        ["01 01:00 -04:00", "01 01:00 -05:00", "01 02:00 -05:00"]
    );
}

/// On 4 October 2026 it is 02:30 after 01:59, on 5 April 01:30 after 01:59.
#[test]
fn both_changes_on_lord_howe() {
    let zone = "Australia/Lord_Howe";
    let spring = |text| due(text, zone, "2026-10-03T14:40:00Z", "2026-10-03T17:10:00Z");
    assert_eq!(spring("0 2 * * *"), ["04 02:30 +11:00"]);
    assert_eq!(
        spring("15,45 2 * * *"),
        ["04 02:30 +11:00", "04 02:45 +11:00"]
    );
    assert_eq!(spring("30 2 * * *"), ["04 02:30 +11:00"]);
    assert_eq!(
        spring("0 2-4 * * *"),
        ["04 02:30 +11:00", "04 03:00 +11:00", "04 04:00 +11:00"]
    );
    assert_eq!(spring("@hourly"), ["04 03:00 +11:00", "04 04:00 +11:00"]);
    assert_eq!(spring("*/20 2 * * *"), ["04 02:40 +11:00"]);
    assert_eq!(
        spring("*/15 * * * *")[..6],
        [
            "04 01:15 +10:30",
            "04 01:30 +10:30",
            "04 01:45 +10:30",
            "04 02:30 +11:00",
            "04 02:45 +11:00",
            "04 03:00 +11:00",
        ]
    );
    let autumn = |text| due(text, zone, "2026-04-04T13:40:00Z", "2026-04-04T16:40:00Z");
    assert_eq!(autumn("45 1 * * *"), ["05 01:45 +11:00"]);
    assert_eq!(
        autumn("0 2-4 * * *"),
        ["05 02:00 +10:30", "05 03:00 +10:30"]
    );
    assert_eq!(
        autumn("@hourly"),
        ["05 01:00 +11:00", "05 02:00 +10:30", "05 03:00 +10:30"]
    );
    assert_eq!(
        autumn("*/15 1 * * *"),
        [
            "05 01:00 +11:00",
            "05 01:15 +11:00",
            "05 01:30 +11:00",
            "05 01:45 +11:00",
            "05 01:30 +10:30",
            "05 01:45 +10:30",
        ]
    );
}

/// Samoa had no 30 December 2011. cron(8) makes up for three hours at most.
#[test]
fn a_skipped_day_is_not_made_up_for() {
    let due = |text| {
        due(
            text,
            "Pacific/Apia",
            "2011-12-29T12:00:00Z",
            "2011-12-31T12:00:00Z",
        )
    };
    assert_eq!(due("0 12 * * *"), ["29 12:00 -10:00", "31 12:00 +14:00"]);
    assert_eq!(due("0 */12 30 * *"), [""; 0]);
}

#[test]
fn days_of_the_month_and_of_the_week() {
    // 2026 begins with a Thursday.
    let due = |text| {
        due(
            text,
            "UTC",
            "2025-12-31T23:59:59.5Z",
            "2026-01-20T00:00:00Z",
        )
    };
    let days = |text| -> Vec<String> { due(text).iter().map(|due| due[..2].to_owned()).collect() };
    assert_eq!(days("0 0 13 * *"), ["13"]);
    assert_eq!(days("0 0 * * 5"), ["02", "09", "16"]);
    assert_eq!(days("0 0 13 * fri"), ["02", "09", "13", "16"]);
    // Both, where one begins with *.
    assert_eq!(days("0 0 */2 * 5"), ["09"]);
    assert_eq!(days("0 0 2-9 * */5"), ["02", "04", "09"]);
    assert_eq!(days("0 0 2-9,* * 5").len(), 19);
    assert_eq!(days("0 0 *,3 * 5"), ["02", "09", "16"]);
    for sundays in ["0 0 * * 0", "0 0 * * 7", "0 0 * * SUN", "0 0 * * 0,7"] {
        assert_eq!(days(sundays), ["04", "11", "18"]);
    }
    assert_eq!(days("0 0 * * fri-sun"), days("0 0 * * 5-7"));
    assert_eq!(days("0 0 * * Sun-tue"), days("0 0 * * 0-2"));
    assert_eq!(days("@weekly"), ["04", "11", "18"]);
    assert_eq!(days("@daily").len(), 19);
    assert_eq!(days("@MIDNIGHT"), days("@daily"));
    for begins in ["@yearly", "@annually", "@monthly", "0 0 1 jan *"] {
        assert_eq!(due(begins), ["01 00:00 +00:00"]);
    }
}

#[test]
fn lists_ranges_steps_and_seconds() {
    let schedule = cron("7,*/20,30-40/5 8-9 * * *", "UTC").unwrap();
    let minutes: Vec<u64> = times(&schedule)
        .take(6)
        .map(|time| time / 60 % 60)
        .collect();
    assert_eq!(minutes, [0, 7, 20, 30, 35, 40]);
    let seconds = cron("5,50 1 0 * * *", "UTC").unwrap();
    let seconds: Vec<u64> = times(&seconds).take(3).collect();
    assert_eq!(seconds, [65, 110, 86_465]);
}

/// Seconds since the Unix epoch.
fn times(schedule: &Schedule) -> impl Iterator<Item = u64> {
    let next = |after: &SystemTime| schedule.next_after(*after);
    let times = std::iter::successors(schedule.next_after(UNIX_EPOCH), next);
    times.map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs())
}

#[test]
fn a_leap_day_can_be_far_away() {
    let due = |text, after| due(text, "Europe/Berlin", after, "2200-01-01T00:00:00Z");
    assert_eq!(due("0 12 29 2 *", "2096-03-01T00:00:00Z").len(), 24);
    // A Sunday only every 28 years, and after 40 where 2100 is between.
    let sundays = due("0 12 29 2 */7", "2060-03-01T00:00:00Z");
    assert_eq!(sundays.len(), 4);
    let after = SystemTime::from("2088-03-01T00:00:00Z".parse::<Timestamp>().unwrap());
    let next = cron("0 12 29 2 */7", "UTC").unwrap().next_after(after);
    let next = Timestamp::try_from(next.unwrap()).unwrap();
    assert_eq!(next.to_string(), "2128-02-29T12:00:00Z");
}

#[test]
fn bad_expressions() {
    for (text, problem) in [
        ("", "is not a cron expression: it has 0 of its five fields"),
        (
            "* * * *",
            "it has 4 of its five fields, minute hour day month weekday (or six, with seconds first)",
        ),
        ("0 0 * * * * 2026", "it has 7 of"),
        (
            "60 * * * *",
            "is not a cron expression: minute \"60\" must be a number from 0 to 59",
        ),
        (
            "0,61-5 * * * *",
            "minute \"61-5\" must be a number from 0 to 59",
        ),
        ("60 * * * * *", "second \"60\" must be"),
        ("* 24 * * *", "hour \"24\" must be a number from 0 to 23"),
        ("* jan * * *", "hour \"jan\" must be"),
        (
            "* * 0 * *",
            "day of the month \"0\" must be a number from 1 to 31",
        ),
        ("* * L * *", "day of the month \"L\" must be"),
        (
            "* * * 13 *",
            "month \"13\" must be a number from 1 to 12 or a name from jan to dec",
        ),
        ("* * * january *", "month \"january\" must be"),
        (
            "* * * * 8",
            "day of the week \"8\" must be a number from 0 to 7 or a name from sun to sat",
        ),
        ("* * * * mon#2", "day of the week \"mon#2\" must be"),
        ("0 5 * * * root", "day of the week \"root\" must be"),
        ("+1 * * * *", "minute \"+1\" must be"),
        ("-1 * * * *", "minute \"-1\" must be"),
        ("1,,2 * * * *", "minute \"\" must be"),
        ("?  * * * *", "minute \"?\" must be"),
        ("9-5 * * * *", "minute \"9-5\" ends before it begins"),
        (
            "*/0 * * * *",
            "minute \"*/0\" has a step that is not a number from 1 to 59",
        ),
        ("*/90 * * * *", "minute \"*/90\" has a step that"),
        ("*/5/2 * * * *", "minute \"*/5/2\" has a step that"),
        (
            "5/10 * * * *",
            "minute \"5/10\" has a step without a range (write 5-59/10)",
        ),
        ("99999999999 * * * *", "minute \"99999999999\" must be"),
        (
            "@reboot",
            "is not a time: what is to run once the machine is up",
        ),
        (
            "@dayly",
            "is not a cron expression (did you mean \"@daily\"?)",
        ),
        (
            "0 0 30 2 *",
            "is never due: there is no such day in these months",
        ),
        ("0 0 31 feb,apr,Jun,9,11 *", "is never due"),
        ("0 0 30 2 */2", "is never due"),
    ] {
        let error = cron(text, "Europe/Berlin").unwrap_err();
        assert!(error.contains(problem), "{text}: {error}");
    }
    // Either will do, and there are Mondays.
    assert!(cron("0 0 30 2 mon", "UTC").is_ok());
}

#[test]
fn zones() {
    let zone = |name: &str| name.parse::<Zone>();
    assert_eq!(zone("europe/berlin").unwrap().name(), "Europe/Berlin");
    assert_eq!(zone("UTC").unwrap().name(), "UTC");
    for (name, meant) in [
        ("Europe/Berln", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("Berlin", "Europe/Berlin"),
    ] {
        let error = zone(name).unwrap_err();
        let expected = format!("is not a time zone of this machine (did you mean {meant:?}?)");
        assert_eq!(error, expected, "{name}");
    }
    for bad in [
        "",
        "+02:00",
        "../../../etc/passwd",
        "/etc/localtime",
        "a\0b",
    ] {
        assert!(zone(bad).is_err(), "{bad:?}");
    }
    let schedule = cron(" 0  2 * * *", "Asia/Kolkata").unwrap();
    assert_eq!(schedule.to_string(), "0 2 * * *");
    assert_eq!(schedule.zone().unwrap().to_string(), "Asia/Kolkata");
}

#[test]
fn intervals_count_from_the_epoch() {
    let every = |interval| Schedule::every(interval).unwrap();
    let at = |seconds| UNIX_EPOCH + Duration::from_secs_f64(seconds);
    let half_minute = every(Duration::from_secs(30));
    assert_eq!(half_minute.to_string(), "every 30s");
    assert_eq!(half_minute.zone(), None);
    for (after, due) in [
        (0.0, 30.0),
        (29.999, 30.0),
        (30.0, 60.0),
        (1_767_225_601.5, 1_767_225_630.0),
    ] {
        assert_eq!(half_minute.next_after(at(after)), Some(at(due)));
    }
    let before = UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(half_minute.next_after(before), Some(UNIX_EPOCH));
    let short = every(Duration::from_millis(1500));
    assert_eq!(short.next_after(at(1.5)), Some(at(3.0)));
    let endless = every(Duration::MAX);
    assert_eq!(endless.next_after(at(1.0)), None);
    assert!(Schedule::every(Duration::from_millis(1)).is_err());
    assert!(Schedule::every(Duration::ZERO).is_err());
}

/// No time that the system can show makes it fail or takes it long.
#[test]
fn the_ends_of_time() {
    for zone in ["UTC", "Europe/Berlin"] {
        for text in ["* * * * * *", "0 0 29 2 *", "30 2 * * *"] {
            let schedule = cron(text, zone).unwrap();
            let old = UNIX_EPOCH - Duration::from_secs(1 << 36);
            assert!(schedule.next_after(old).is_some_and(|next| next > old));
            let late = UNIX_EPOCH + Duration::from_secs(1 << 60);
            assert_eq!(schedule.next_after(late), None);
            let last = SystemTime::from(Timestamp::MAX);
            assert_eq!(schedule.next_after(last), None);
        }
    }
}

#[test]
fn fields_for_other_programs_mean_the_same() {
    for (text, plain) in [
        ("@weekly", "0 0 0 * * 0"),
        ("30 2 * Jan-MAR mon-fri", "0 30 2 * 1-3 1-5"),
        ("0 0 * * fri-sun", "0 0 0 * * 5-7"),
        ("0 0 * * sun-tue/2,7", "0 0 0 * * 0-2/2,7"),
        ("*/20 *,5 0-23 */2 dec sat", "*/20 *,5 0-23 */2 12 6"),
    ] {
        let cron = Cron::new(text, Zone::utc()).unwrap();
        let fields = cron.fields();
        let texts: Vec<&str> = fields.iter().map(|field| field.text.as_str()).collect();
        assert_eq!(texts.join(" "), plain);
        let again = Cron::new(plain, Zone::utc()).unwrap();
        assert_eq!(again.fields(), fields, "{text}");
    }
    let full = |text| Cron::new(text, Zone::utc()).unwrap().fields();
    assert!(full("* * * * *").iter().skip(1).all(|field| field.is_full));
    assert!(
        full("0-59 0-23 1-31 1-12 0-7")
            .iter()
            .skip(1)
            .all(|field| field.is_full)
    );
    assert!(
        full("0-58 0-22 1-30 1-11 1-6")
            .iter()
            .all(|field| !field.is_full)
    );
}
