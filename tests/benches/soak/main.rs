//! Eight cameras of mixed makes that fail again and again, recorded for as long as is asked for.
//!
//! `cargo build --release --workspace && cargo bench -p dayreel-tests --bench soak -- --minutes 60`
//!
//! Cameras are unplugged, fall silent, hang up, say goodbye, refuse, lose packets and set their
//! clocks, one fault after the other, each written down with its times. At the end:
//!
//! - every gap that the API tells of lies within a fault, and every outage is a gap;
//! - every access unit that was sent outside of the gaps is recorded, with the bytes that were sent,
//!   but for those of the times when packets were lost;
//! - playlists, manifests and segments of all cameras obey the rules of the other tests, and so does every answer to
//!   players that follow each camera part by part and patch by patch;
//! - memory is flat, and the server has no more threads and descriptors than when it began.
//!
//! Anything else is printed, and the exit code is 1. Pictures are small: it wants a tenth of a core.

mod camera;
mod fault;
mod following;
mod health;
mod recording;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use dayreel_tests::{
    client::Client,
    process::{Server, Setup, wait_until},
};

use crate::{camera::Watched, health::Health};

/// From one round to the next.
const ROUND: Duration = Duration::from_secs(1);
/// Until all cameras are live: the longest wait after a refusal, and some.
const ALL_LIVE: Duration = Duration::from_secs(300);
/// Calm at the beginning, until the files of all tracks are open and the parts of the first GOP, whose length nobody
/// knew, are listed no more; and at the end, until the last segments are listed.
const CALM: Duration = Duration::from_secs(30);

#[derive(Parser)]
struct Arguments {
    /// How long the cameras fail, minutes
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// As cargo says it
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let minutes = Arguments::parse().minutes;
    let mut cameras = camera::all()?;
    let server = Server::start(Setup {
        cameras: cameras.iter().map(Watched::table).collect(),
        ..Setup::with_cameras([])
    })?;
    let client = server.client();
    let soaked = soak(&mut cameras, &server, Duration::from_secs(60 * minutes));
    let mut complaints = soaked.with_context(|| server.log().tail(40))?;
    for camera in &cameras {
        complaints.extend(recording::check(camera, &client).with_context(|| camera.id)?);
    }
    for complaint in &complaints {
        println!("WRONG: {complaint}");
    }
    ensure!(complaints.is_empty(), "{} complaints", complaints.len());
    println!("all is explained, and everything else is recorded");
    Ok(())
}

/// Lets them fail for so long. What is wrong with the server afterwards.
fn soak(cameras: &mut [Watched], server: &Server, time: Duration) -> Result<Vec<String>> {
    let client = server.client();
    wait_until_live(cameras, &client)?;
    stay_calm();
    look_at_pictures(cameras, &client)?;
    let mut health = Health::begin(server.pid()?)?;
    let subjects: Vec<_> = cameras.iter().map(Watched::subject).collect();
    let over = AtomicBool::new(false);
    let followed = thread::scope(|scope| {
        let (client, over) = (&client, &over);
        let follow = |subject| scope.spawn(move || following::follow(client, subject, over));
        let followers: Vec<_> = subjects.into_iter().map(follow).collect();
        let failed = {
            let _over = Over(over);
            fail(cameras, client, &mut health, time)
        };
        let followed = followers
            .into_iter()
            .map(|one| one.join().expect("a follower panicked"));
        let followed: Vec<_> = followed.collect();
        failed.map(|()| followed)
    })?;
    let mut complaints = Vec::new();
    for (camera, followed) in cameras.iter().zip(followed) {
        println!("{}: {followed}", camera.id);
        complaints.extend(followed.complaints);
    }
    wait_until_live(cameras, &client)?;
    stay_calm();
    complaints.extend(health.end()?);
    Ok(complaints)
}

/// Ends the followers, whatever happens.
struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Lets cameras fail, one fault after the other of each.
fn fail(
    cameras: &mut [Watched],
    client: &Client,
    health: &mut Health,
    time: Duration,
) -> Result<()> {
    let begin = Instant::now();
    let mut rounds = 0;
    while begin.elapsed() < time {
        rounds += 1;
        let next = begin + rounds * ROUND;
        wait_until(2 * ROUND, || (Instant::now() >= next).then_some(()));
        let left = time.saturating_sub(begin.elapsed());
        let live = live(client)?;
        for camera in cameras.iter_mut() {
            camera.step(live.iter().any(|id| id == camera.id), left)?;
        }
        if rounds % 10 == 0 {
            health.look()?;
        }
        if rounds % 60 == 0 {
            look_at_pictures(cameras, client)?;
        }
    }
    cameras.iter_mut().try_for_each(Watched::end_fault)
}

fn stay_calm() {
    let end = Instant::now() + CALM;
    wait_until(2 * CALM, || (Instant::now() >= end).then_some(()));
}

/// Ids of the cameras that are live.
fn live(client: &Client) -> Result<Vec<String>> {
    let list = client.get_json("/api/cameras")?;
    let list = list.as_array().context("no list of cameras")?;
    let live = list.iter().filter(|camera| camera["state"] == "live");
    Ok(live
        .filter_map(|camera| camera["id"].as_str().map(str::to_owned))
        .collect())
}

fn wait_until_live(cameras: &[Watched], client: &Client) -> Result<()> {
    let all = || (live(client).ok()?.len() == cameras.len()).then_some(());
    let waited = wait_until(ALL_LIVE, all);
    waited.with_context(|| format!("live are only {:?}", live(client)))
}

/// A viewer: the picture of now of each camera, which is the last one while it is away.
fn look_at_pictures(cameras: &[Watched], client: &Client) -> Result<()> {
    for camera in cameras {
        let answer = client.get(&format!("/{}/frame/", camera.id))?;
        ensure!(
            answer.status == 200,
            "{}: no picture: {}",
            camera.id,
            answer.text().unwrap_or_default()
        );
    }
    Ok(())
}
