//! Answers that are not written as the standard wants.

use dayreel_testcam::scripted::{Command, Oddity, Reply, Request, Script, interleaved};

use crate::check::{Odd, PATIENCE, h264, h264_with_aac, is_recorded, oddly};

/// A camera whose answers to `method` (all, if empty) are changed is recorded all the same.
fn with_answers(method: &'static str, change: impl Fn(&mut Reply) + Send + Sync + 'static) -> Odd {
    let mut script = h264_with_aac();
    script.rewrite(method, move |_, reply| change(reply));
    is_recorded(script)
}

/// RFC 2326 §4: header names are case-insensitive, as RFC 822's.
#[test]
fn headers_in_lower_case_are_read() {
    is_recorded(oddly(Oddity::LowerCase));
}

/// RFC 2326 §4: lines end with CRLF, receivers should read LF alone. Some cameras write it.
#[test]
fn lines_that_end_with_lf_are_read() {
    is_recorded(oddly(Oddity::LineFeeds));
}

/// RFC 2326 §7.1: the reason phrase may be empty, the space before it may not be missing. It is.
#[test]
fn a_status_without_reason_is_read() {
    with_answers("", |reply| reply.head = reply.head.replacen(" OK", "", 1));
}

/// RFC 2326 §12.17: every answer repeats `CSeq`. Without pipelining nobody needs it.
#[test]
fn answers_without_cseq_are_read() {
    with_answers("", |reply| reply.without("CSeq"));
}

/// RFC 2326 §12.37: without `timeout` it is 60 s.
#[test]
fn a_session_without_timeout_is_kept() {
    let mut script = h264();
    script.tells_timeout = false;
    is_recorded(script);
}

/// RFC 2326 §12.16. A body that begins with `v=` is SDP.
#[test]
fn a_description_without_content_type_is_read() {
    with_answers("DESCRIBE", |reply| reply.without("Content-Type"));
}

/// RFC 2326 §C.1.1: the URL of the request is the base then.
#[test]
fn a_missing_content_base_is_the_url() {
    with_answers("DESCRIBE", |reply| reply.without("Content-Base"));
}

/// Cameras behind an address translation name the address they know of themselves.
#[test]
fn a_content_base_with_another_host_is_reached_where_the_camera_is() {
    with_answers("DESCRIBE", |reply| {
        reply.set("Content-Base", "rtsp://192.0.2.7:554/stream/");
    });
}

/// RFC 3986 §5.2.3 would replace the last part of the path by the control attribute; no camera that
/// leaves the slash out means that.
#[test]
fn a_content_base_without_slash_has_controls_behind_it() {
    let mut script = h264_with_aac();
    script.rewrite("DESCRIBE", |_, reply| {
        reply.set("Content-Base", "rtsp://{address}/stream");
    });
    refuse_other_tracks(&mut script, "/stream/trackID=");
    is_recorded(script);
}

/// Answers 404 to a SETUP whose URL does not hold `part`.
fn refuse_other_tracks(script: &mut Script, part: &'static str) {
    script.rewrite("SETUP", move |request, reply| {
        if !request.uri.contains(part) {
            reply.refuse("404 Not Found");
        }
    });
}

/// A URL with a query and relative controls: most cameras want the attribute behind the query …
#[test]
fn controls_go_behind_a_query() {
    let mut script = h264_with_aac();
    script.path = "/live?channel=1&subtype=0".into();
    script.rewrite("DESCRIBE", |_, reply| reply.without("Content-Base"));
    refuse_other_tracks(&mut script, "/live?channel=1&subtype=0/trackID=");
    is_recorded(script);
}

/// … and some, as RFC 3986 has it, in the place of the path and without the query.
#[test]
fn controls_take_the_place_of_path_and_query_where_the_camera_wants_it() {
    let mut script = h264_with_aac();
    script.path = "/live?channel=1&subtype=0".into();
    script.rewrite("DESCRIBE", |_, reply| reply.without("Content-Base"));
    script.rewrite("SETUP", |request, reply| {
        if request.uri.contains("live") {
            reply.refuse("404 Not Found");
        }
    });
    is_recorded(script);
}

/// RFC 2326 §C.1.1: a track without `a=control` is the whole presentation.
#[test]
fn a_track_without_control_is_the_stream() {
    let mut script = h264();
    let keeps = |line: &&str| !line.starts_with("a=control");
    script.sdp = script.sdp.split_inclusive('\n').filter(keeps).collect();
    is_recorded(script);
}

/// RFC 2326 §12.39: RTP on the first channel. The answer counts, also where it swaps them.
#[test]
fn swapped_channels_are_as_the_camera_says() {
    with_answers("SETUP", |reply| {
        reply.head = reply.head.replace("=0-1", "=1-0").replace("=2-3", "=3-2");
    });
}

/// The camera may choose other channels than it was asked for.
#[test]
fn other_channels_than_asked_for_are_as_the_camera_says() {
    with_answers("SETUP", |reply| {
        reply.head = reply.head.replace("=0-1", "=6-7").replace("=2-3", "=8-9");
    });
}

/// Without `interleaved` in the answer the channels are those asked for.
#[test]
fn channels_that_are_not_said_are_those_asked_for() {
    with_answers("SETUP", |reply| {
        reply.head = reply
            .head
            .replace("interleaved=0-1;", "")
            .replace("interleaved=2-3;", "");
    });
}

/// RFC 2326 §10.1: a client need not ask for OPTIONS, and some cameras do not know it.
#[test]
fn a_camera_that_does_not_know_options_is_recorded() {
    let mut script = h264();
    script.methods = "DESCRIBE, SETUP, PLAY, TEARDOWN".into();
    is_recorded(script);
}

/// RFC 2326 §10.1, §10.8: a server may ask the client, too; one that gets no answer may close.
#[test]
fn requests_of_the_camera_are_answered_in_mid_stream() {
    let odd = Odd::start(h264());
    odd.is_recorded_as_sent();
    for (method, number) in [("OPTIONS", 71), ("GET_PARAMETER", 72)] {
        let request = format!("{method} rtsp://camera/ RTSP/1.0\r\nCSeq: {number}\r\n\r\n");
        odd.camera.command(Command::Write(request.into()));
        let number = number.to_string();
        let is_answered = |heard: &[Request]| {
            let answers = |request: &Request| {
                request.method.starts_with("RTSP/") && request.header("CSeq") == Some(&number)
            };
            heard.iter().any(answers)
        };
        assert!(
            odd.camera.wait_until_heard(PATIENCE, is_answered),
            "{}",
            odd.story()
        );
    }
    odd.is_recorded_as_sent();
}

/// RFC 2326 §10.12 has channels that were set up only. Nobody misses the others.
#[test]
fn packets_on_a_channel_of_nobody_are_left_out() {
    let mut script = h264();
    script.edit_packets(|mut packet| {
        packet.raw_before = interleaved(9, &[0x80, 0, 0, 0]);
        vec![packet]
    });
    is_recorded(script);
}

/// Nothing may stand between packets and messages. A camera whose buffer overflows writes the rest of
/// something.
#[test]
fn garbage_between_packets_is_left_out() {
    is_recorded(oddly(Oddity::Garbage));
}
