//! The schedule against simulated lines: time is a number, a request takes what the case says.

use super::*;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

const TENTH: &[Duration] = &[ms(100)];
const HALF: &[Duration] = &[ms(500)];
const SECOND: &[Duration] = &[s(1)];
const FIVE: &[Duration] = &[s(5)];

/// A line on which each device takes `cost` per request and answers or not.
struct Sim {
    schedule: Schedule,
    now: Duration,
    /// Per device: what an answer costs, what a timeout costs, requests per plan.
    devices: Vec<SimDevice>,
    writes: usize,
    log: Vec<(Duration, Option<usize>)>,
}

#[derive(Clone, Copy)]
struct SimDevice {
    answer: Duration,
    timeout: Duration,
    requests: usize,
    alive: bool,
}

impl SimDevice {
    const ALIVE: Self = Self { answer: ms(10), timeout: ms(1000), requests: 1, alive: true };
    const DEAD: Self = Self { alive: false, ..Self::ALIVE };
}

impl Sim {
    fn new(devices: &[(SimDevice, &[Duration])]) -> Self {
        let intervals: Vec<_> = devices.iter().map(|(_, every)| every.to_vec()).collect();
        Self {
            schedule: Schedule::new(&intervals),
            now: Duration::ZERO,
            devices: devices.iter().map(|(device, _)| *device).collect(),
            writes: 0,
            log: Vec::new(),
        }
    }

    fn run_until(&mut self, end: Duration) {
        while self.now < end {
            match self.schedule.next(self.now, self.writes > 0) {
                Next::Plan { device, .. } => {
                    self.schedule.planned(device, self.devices[device].requests);
                }
                Next::Request { device } => {
                    self.log.push((self.now, Some(device)));
                    let SimDevice { answer, timeout, alive, .. } = self.devices[device];
                    if alive {
                        self.now += answer;
                        self.schedule.answered(device, self.now);
                    } else {
                        self.now += timeout;
                        self.schedule.failed(device, self.now, timeout);
                    }
                }
                Next::Write => {
                    self.log.push((self.now, None));
                    self.writes -= 1;
                    self.now += ms(10);
                }
                Next::Wait(until) => {
                    assert!(until > self.now, "waiting must take time: {until:?}");
                    self.now = until.min(end);
                }
            }
        }
    }

    fn times(&self, device: usize) -> Vec<Duration> {
        self.log.iter().filter(|(_, d)| *d == Some(device)).map(|(at, _)| *at).collect()
    }
}

#[test]
fn t11_the_period_does_not_drift() {
    let odd = SimDevice { answer: Duration::from_micros(33_337), ..SimDevice::ALIVE };
    let mut sim = Sim::new(&[(odd, &[ms(100)])]);
    sim.run_until(s(3600));
    let times = sim.times(0);
    assert_eq!(times.len(), 36_000);
    for (i, at) in times.iter().enumerate() {
        assert_eq!(*at, ms(100) * u32::try_from(i).unwrap());
    }
    assert_eq!(sim.schedule.missed(0), 0);
}

#[test]
fn t18_it_goes_on_for_24_hours() {
    let mut sim =
        Sim::new(&[(SimDevice::ALIVE, &[s(1), s(10), s(60)]), (SimDevice::DEAD, &[s(1)])]);
    sim.run_until(s(24 * 3600));
    let polls = sim.times(0).len();
    assert!(polls > 86_400 * 97 / 100, "{polls}");
    let last = sim.times(1).pop().unwrap();
    assert!(s(24 * 3600) - last < s(62), "the dead one is still probed, last at {last:?}");
}

#[test]
fn missed_ticks_are_counted_and_never_queued() {
    let slow = SimDevice { answer: ms(250), ..SimDevice::ALIVE };
    let mut sim = Sim::new(&[(slow, &[ms(100)])]);
    sim.run_until(s(100));
    let polls = u64::try_from(sim.times(0).len()).unwrap();
    assert!((395..=401).contains(&polls), "{polls}: back to back, not more");
    let accounted = polls + sim.schedule.missed(0);
    assert!((998..=1001).contains(&accounted), "{accounted}: every tick is read or missed");
}

#[test]
fn a_grid_that_starts_later_keeps_its_place() {
    let mut sim = Sim::new(&[(SimDevice::ALIVE, &[s(1)])]);
    sim.schedule = sim.schedule.begin_at(ms(300));
    sim.run_until(ms(2_400));
    let at: Vec<_> = sim.log.iter().map(|(at, _)| *at).collect();
    assert_eq!(at, [ms(300), ms(1_300), ms(2_300)]);
}

#[test]
fn a_slow_tick_that_comes_during_a_job_is_not_lost() {
    let busy = SimDevice { answer: ms(95), ..SimDevice::ALIVE };
    let mut schedule = Schedule::new(&[vec![ms(100), ms(150)]]);
    let mut now = Duration::ZERO;
    let mut slow = 0;
    while now < s(30) {
        match schedule.next(now, false) {
            Next::Plan { device, due } => {
                slow += usize::from(due.has(1));
                schedule.planned(device, 1);
            }
            Next::Request { device } => {
                now += busy.answer;
                schedule.answered(device, now);
            }
            Next::Wait(until) => now = until,
            Next::Write => unreachable!(),
        }
    }
    assert_eq!(slow, 200);
    assert_eq!(schedule.missed(0), 0);
}

#[test]
fn t14_nine_of_ten_dead_devices_cost_the_living_one_less_than_five_percent() {
    let mut devices = vec![(SimDevice::ALIVE, TENTH)];
    devices.extend([(SimDevice::DEAD, SECOND); 9]);
    let mut sim = Sim::new(&devices);
    let hours = 6;
    sim.run_until(s(hours * 3600));
    let living = sim.times(0).len();
    let wanted = usize::try_from(hours * 36_000).unwrap();
    assert!(living * 100 >= wanted * 95, "{living} of {wanted}");
    let probes: usize = (1..10).map(|d| sim.times(d).len()).sum();
    assert!(u64::try_from(probes).unwrap() <= hours * 180 + 20, "{probes} probes of 1 s");
    for device in 1..10 {
        assert!(sim.times(device).len() > 80, "t12: each is retried for ever");
    }
}

#[test]
fn t14_holds_in_the_first_ten_minutes_as_well() {
    let mut devices = vec![(SimDevice::ALIVE, TENTH)];
    devices.extend([(SimDevice { timeout: ms(500), ..SimDevice::DEAD }, SECOND); 9]);
    let mut sim = Sim::new(&devices);
    sim.run_until(s(600));
    let living = sim.times(0).len();
    assert!(living * 100 >= 6000 * 93, "{living} of 6000");
}

#[test]
fn t14_many_that_are_dead_from_the_start_hold_up_nobody_who_lives() {
    let mut devices = vec![(SimDevice::DEAD, SECOND); 30];
    devices.extend([
        (SimDevice::ALIVE, SECOND),
        (SimDevice::ALIVE, FIVE),
        (SimDevice::ALIVE, TENTH),
    ]);
    let mut sim = Sim::new(&devices);
    // They answered in an earlier life.
    (30..33).for_each(|living| sim.schedule.met(living));
    sim.run_until(s(60));
    for (living, every) in [(30, s(1)), (31, s(5)), (32, ms(100))] {
        let times = sim.times(living);
        assert!(times[0] <= every, "{living} at first after {:?}", times[0]);
        let gap = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(gap <= every + s(1) + ms(100), "{living} not for {gap:?}");
    }
    for dead in 0..30 {
        assert!(sim.times(dead).first().is_some_and(|at| *at < s(40)), "{dead} was asked");
    }
}

#[test]
fn t12_a_device_that_is_off_at_boot_is_found_when_it_comes() {
    let mut sim = Sim::new(&[(SimDevice::DEAD, &[s(1)])]);
    sim.run_until(s(7200));
    assert!(sim.schedule.silent_since(0).is_some());
    sim.devices[0].alive = true;
    let from = sim.now;
    sim.run_until(from + s(62));
    assert_eq!(sim.schedule.silent_since(0), None);
    assert!(!sim.schedule.all_silent());
    let before = sim.times(0).len();
    sim.run_until(from + s(162));
    assert_eq!(sim.times(0).len() - before, 100, "and is read at its full rate again");
}

#[test]
fn t4_devices_do_not_share_their_state() {
    let mut sim = Sim::new(&[(SimDevice::ALIVE, &[s(1)]), (SimDevice::DEAD, &[s(1)])]);
    sim.run_until(s(10));
    assert_eq!(sim.schedule.silent_since(0), None);
    assert!(sim.schedule.silent_since(1).is_some());
}

#[test]
fn a_fast_device_is_not_held_up_by_the_long_job_of_a_slow_one() {
    let long = SimDevice { requests: 100, answer: ms(50), ..SimDevice::ALIVE };
    let mut sim = Sim::new(&[(long, &[s(10)]), (SimDevice::ALIVE, &[ms(100)])]);
    sim.run_until(s(10));
    assert_eq!(sim.schedule.missed(1), 0);
    assert_eq!(sim.times(1).len(), 100);
    assert_eq!(sim.times(0).len(), 100);
}

#[test]
fn writes_go_first_but_do_not_starve_reads() {
    let mut sim = Sim::new(&[(SimDevice { requests: 5, ..SimDevice::ALIVE }, &[s(1)])]);
    sim.writes = 8;
    sim.run_until(ms(200));
    let order: Vec<_> = sim.log.iter().map(|(_, d)| d.is_none()).collect();
    assert!(order[0], "the write first");
    assert!(order.windows(2).take(9).all(|pair| pair[0] != pair[1]), "{order:?}");
    assert_eq!(order.iter().filter(|write| **write).count(), 8);
}

#[test]
fn a_split_block_is_read_in_the_same_job() {
    let mut schedule = Schedule::new(&[vec![s(1)]]);
    assert!(matches!(schedule.next(ms(0), false), Next::Plan { device: 0, .. }));
    schedule.planned(0, 1);
    assert_eq!(schedule.next(ms(0), false), Next::Request { device: 0 });
    schedule.extend(0, 2);
    schedule.answered(0, ms(10));
    for at in [10, 20] {
        assert_eq!(schedule.next(ms(at), false), Next::Request { device: 0 });
        schedule.answered(0, ms(at + 10));
    }
    assert_eq!(schedule.next(ms(30), false), Next::Wait(s(1)));
}

#[test]
fn a_write_to_a_silent_device_waits_for_its_share() {
    let mut sim = Sim::new(&[(SimDevice::DEAD, &[s(1)])]);
    sim.run_until(s(5));
    assert!(!sim.schedule.may_write(0, sim.now));
    assert!(sim.schedule.may_write(0, sim.now + s(60)));
}

#[test]
fn without_devices_it_only_waits() {
    let mut schedule = Schedule::new(&[]);
    assert!(matches!(schedule.next(s(5), false), Next::Wait(until) if until > s(5)));
    assert_eq!(schedule.next(s(5), true), Next::Write);
    assert!(!schedule.all_silent());
}

#[test]
fn a_device_alone_on_the_line_is_found_within_seconds() {
    let mut sim = Sim::new(&[(SimDevice::DEAD, &[s(1)])]);
    sim.run_until(s(7200));
    let probes = sim.times(0);
    let gap = probes.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(gap <= s(7), "nobody else needs the line: {gap:?}");
    sim.devices[0].alive = true;
    sim.run_until(s(7206));
    assert_eq!(sim.schedule.silent_since(0), None);
}

#[test]
fn a_line_that_is_plugged_in_again_is_whole_within_seconds() {
    let mut sim = Sim::new(&[(SimDevice::ALIVE, SECOND); 10]);
    sim.run_until(s(100));
    sim.devices.iter_mut().for_each(|device| device.alive = false);
    sim.run_until(s(700));
    assert!(sim.schedule.all_silent());
    sim.devices.iter_mut().for_each(|device| device.alive = true);
    sim.run_until(s(715));
    for device in 0..10 {
        assert_eq!(sim.schedule.silent_since(device), None, "device {device}");
    }
    // The plug sits loosely.
    sim.devices.iter_mut().for_each(|device| device.alive = false);
    sim.run_until(s(750));
    sim.devices.iter_mut().for_each(|device| device.alive = true);
    sim.run_until(s(760));
    for device in 0..10 {
        assert_eq!(sim.schedule.silent_since(device), None, "device {device}, again");
    }
}

#[test]
fn those_that_stay_dead_when_the_line_is_plugged_in_delay_nobody_else() {
    let mut sim = Sim::new(&[(SimDevice::ALIVE, SECOND); 10]);
    sim.run_until(s(100));
    sim.devices.iter_mut().for_each(|device| device.alive = false);
    sim.run_until(s(700));
    sim.devices.iter_mut().step_by(2).for_each(|device| device.alive = true);
    sim.run_until(s(725));
    for device in (0..10).step_by(2) {
        assert_eq!(sim.schedule.silent_since(device), None, "device {device}");
    }
    let before = sim.times(0).len();
    sim.run_until(s(1725));
    assert!(sim.times(0).len() - before >= 930, "{}", sim.times(0).len() - before);
}

#[test]
fn one_of_few_dead_devices_is_found_within_a_minute() {
    // All but one went at once: what it cost to notice must not keep them from being asked again.
    let mut sim = Sim::new(&[(SimDevice::ALIVE, SECOND); 10]);
    sim.run_until(s(100));
    sim.devices.iter_mut().skip(1).for_each(|device| device.alive = false);
    sim.run_until(s(130));
    sim.devices.iter_mut().for_each(|device| device.alive = true);
    sim.run_until(s(195));
    for device in 0..10 {
        assert_eq!(sim.schedule.silent_since(device), None, "device {device}");
    }
    // Three that are long dead take their turns.
    sim.devices.iter_mut().skip(7).for_each(|device| device.alive = false);
    sim.run_until(s(4000));
    sim.devices[9].alive = true;
    sim.run_until(s(4062));
    assert_eq!(sim.schedule.silent_since(9), None);
}

#[test]
fn a_device_that_misses_every_other_request_does_not_keep_a_dead_one_from_being_found() {
    let mut sim = Sim::new(&[(SimDevice::ALIVE, SECOND), (SimDevice::ALIVE, SECOND)]);
    sim.run_until(s(10));
    sim.devices[1].alive = false;
    let mut probes = 0;
    for second in 10..1200 {
        sim.devices[0].alive = second % 2 == 0;
        let before = sim.times(1).len();
        sim.run_until(s(second));
        probes += sim.times(1).len() - before;
    }
    assert_eq!(sim.schedule.silent_since(0), None, "it answers every other second");
    assert!(probes >= 15, "{probes}");
}

#[test]
fn t14_devices_that_answer_once_and_fall_silent_again_are_no_better_than_dead_ones() {
    let mut devices = vec![(SimDevice::ALIVE, TENTH)];
    devices.extend([(SimDevice::ALIVE, SECOND); 9]);
    let mut sim = Sim::new(&devices);
    for _ in 0..6_000 {
        sim.run_until(sim.now + ms(100));
        for device in 1..10 {
            // Every third request is answered.
            sim.devices[device].alive = sim.times(device).len().is_multiple_of(3);
        }
    }
    let share = sim.times(0).len() * 100 / 6_000;
    assert!(share >= 88, "{share} % of the living one's polls");
}

#[test]
fn a_line_that_was_away_too_shortly_for_all_to_fall_silent_is_whole_within_seconds() {
    for away in [2500, 4500, 6500, 9500] {
        let mut sim = Sim::new(&[(SimDevice::ALIVE, HALF); 6]);
        sim.run_until(s(100));
        sim.devices.iter_mut().for_each(|device| device.alive = false);
        sim.run_until(s(100) + ms(away));
        assert!(!sim.schedule.all_silent());
        sim.devices.iter_mut().for_each(|device| device.alive = true);
        sim.run_until(sim.now + s(3));
        for device in 0..6 {
            assert_eq!(sim.schedule.silent_since(device), None, "device {device} after {away} ms");
        }
    }
}
