//! How each contender is started, both ends of it, and when it is up.

use super::contender::Contender;
use super::ground::{Ground, Seat, inside};
use super::workshop::Workshop;
use anyhow::{Context, Result, bail, ensure};
use halloo_lab::{Child, program};
use nix::sys::signal::Signal;
use std::ffi::OsStr;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long it may take until the first ping comes back.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a device may take to appear.
const DEVICE: Duration = Duration::from_secs(5);
/// What every overlay gets after its first ping: the time to find the direct way and the longest packet.
const SETTLING: [&str; 5] = ["-n", "-q", "-c31", "-i0.05", "-W1"];

/// The option by which the kernel carries frames.
const PLANE: &str = "--data-plane";

/// Ways to start something, with what differs between the contenders that are started so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recipe {
    /// The wire itself.
    Veth,
    /// The kernel's VXLAN.
    Vxlan,
    /// `halloo edge` with these words more.
    Halloo(&'static str),
    /// OpenVPN with a TAP device and this data cipher.
    OpenVpn(&'static str),
    /// tinc 1.0 as a switch, with its default cipher and digest or with none.
    Tinc(bool),
    /// fastd with this method.
    Fastd(&'static str),
    /// n2n of Debian, version 1.
    N2n,
    /// VpnCloud with this algorithm.
    VpnCloud(&'static str),
    /// wireguard-go, which carries IP only.
    WireGuard,
}

/// The names of both ends' devices.
type Devices = [String; 2];

/// A contender that carries packets. Dropping it ends it.
pub(crate) struct Up {
    /// Its processes, those of the two ends first.
    pub(crate) children: Vec<Child>,
    /// The address of the second end inside.
    pub(crate) target: Ipv4Addr,
    /// The device of each end.
    pub(crate) devices: Devices,
}

impl Drop for Up {
    fn drop(&mut self) {
        for child in &self.children {
            child.signal(Signal::SIGTERM);
        }
        let end = Instant::now() + Duration::from_secs(2);
        // Who is asked may take away what it made; who does not listen is killed by the lab.
        while self.children.iter().any(Child::is_running) && Instant::now() < end {
            sleep(Duration::from_millis(5));
        }
    }
}

impl Recipe {
    /// What must be there, or why it is not.
    pub(crate) fn missing(self, workshop: &Workshop) -> Option<String> {
        let programs: &[&str] = match self {
            Recipe::Veth | Recipe::Vxlan | Recipe::Halloo(_) | Recipe::VpnCloud(_) => &[],
            Recipe::OpenVpn(_) => &["openvpn", "openssl"],
            Recipe::Tinc(_) => &["tincd"],
            Recipe::Fastd(_) => &["fastd"],
            Recipe::N2n => &["edge", "supernode"],
            Recipe::WireGuard => &["wireguard-go", "wg"],
        };
        if matches!(self, Recipe::VpnCloud(_)) && !workshop.vpncloud.exists() {
            return Some(format!("no {}", workshop.vpncloud.display()));
        }
        if matches!(self, Recipe::Halloo(words) if words.contains(PLANE)) {
            let help = output(&workshop.halloo, "edge --help", Stdio::null()).unwrap_or_default();
            return (!help.contains(PLANE)).then(|| format!("this halloo has no {PLANE}"));
        }
        let missing = programs.iter().find_map(|name| program(name).err())?;
        Some(missing.to_string())
    }
}

impl Contender {
    /// Starts both ends, and waits until a ping comes back and it has had time to settle.
    pub(crate) fn start(&self, ground: &Ground, workshop: &Workshop) -> Result<Up> {
        let up = self.launch(ground, workshop)?;
        let [a, b] = ground.seats();
        let end = Instant::now() + PATIENCE;
        let target = up.target.to_string();
        while !a
            .host
            .run("ping", ["-n", "-q", "-c1", "-W1", &target])
            .status
            .success()
        {
            if let Some(dead) = up.children.iter().find(|child| !child.is_running()) {
                bail!("ended early: {dead}");
            }
            ensure!(Instant::now() < end, "no ping comes back: {}", said(&up.children));
            sleep(Duration::from_millis(50));
        }
        for (seat, device) in [a, b].iter().zip(&up.devices) {
            let own = if self.recipe == Recipe::Veth {
                seat.at
            } else {
                seat.inside()
            };
            seat.cubic(device, own);
        }
        a.host.run("ping", SETTLING.iter().chain(&[target.as_str()]));
        Ok(up)
    }

    /// Starts it. The devices have their addresses when this returns or soon after.
    fn launch(&self, ground: &Ground, workshop: &Workshop) -> Result<Up> {
        let mut up = Up {
            children: vec![],
            target: inside(2),
            devices: Default::default(),
        };
        up.devices = match self.recipe {
            Recipe::Veth => {
                let [a, b] = ground.seats();
                up.target = a.other;
                [a.device.to_owned(), b.device.to_owned()]
            }
            Recipe::Vxlan => vxlan(ground),
            Recipe::Halloo(words) => halloo(words, ground, workshop, &mut up)?,
            Recipe::OpenVpn(cipher) => openvpn(cipher, self.is_tuned(), ground, workshop, &mut up)?,
            Recipe::Tinc(ciphers) => tinc(ciphers, ground, workshop, &mut up)?,
            Recipe::Fastd(method) => fastd(method, self.mtu, ground, &mut up)?,
            Recipe::N2n => n2n(ground, &mut up)?,
            Recipe::VpnCloud(algorithm) => vpncloud(algorithm, self.mtu, ground, workshop, &mut up)?,
            Recipe::WireGuard => wireguard(self.mtu, ground, &mut up)?,
        };
        Ok(up)
    }
}

/// What they have said so far, the last of it.
fn said(children: &[Child]) -> String {
    let text: Vec<String> = children.iter().map(ToString::to_string).collect();
    let text = text.join("\n");
    let tail: Vec<char> = text.chars().rev().take(800).collect();
    tail.into_iter().rev().collect()
}

/// Starts a program at one end, the words of a line its arguments.
fn spawn(seat: &Seat<'_>, program: impl AsRef<OsStr>, line: &str) -> Child {
    seat.host.spawn(program, line.split_whitespace())
}

/// Gives an end's device its address, once it is there.
fn address(seat: &Seat<'_>, device: &str, mtu: u32) -> Result<()> {
    let end = Instant::now() + DEVICE;
    while !seat.host.run("ip", ["link", "show", device]).status.success() {
        ensure!(Instant::now() < end, "there is no {device}");
        sleep(Duration::from_millis(20));
    }
    seat.ip(&format!("addr replace {}/24 dev {device}", seat.inside()));
    seat.ip(&format!("link set {device} mtu {mtu} up"));
    Ok(())
}

/// Names that nobody else has on this machine.
fn own_devices() -> Devices {
    ["a", "b"].map(|letter| format!("ovb{}{letter}", std::process::id()))
}

/// A file that only its owner may read, or a script.
fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// What a program printed.
fn output(program: impl AsRef<OsStr>, line: &str, stdin: Stdio) -> Result<String> {
    let mut command = Command::new(program);
    command.args(line.split_whitespace()).stdin(stdin);
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{command:?}: {}{}",
        text,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(text)
}

fn vxlan(ground: &Ground) -> Devices {
    for seat in ground.seats() {
        seat.ip(&format!(
            "link add vx0 type vxlan id 91 dev {} local {} remote {} dstport 4789",
            seat.device, seat.at, seat.other
        ));
        seat.ip(&format!("addr add {}/24 dev vx0", seat.inside()));
        seat.ip("link set vx0 up");
    }
    ["vx0", "vx0"].map(str::to_owned)
}

fn halloo(words: &str, ground: &Ground, workshop: &Workshop, up: &mut Up) -> Result<Devices> {
    let [a, _] = ground.seats();
    let secret = workshop.file("secret");
    if !secret.exists() {
        let line = format!("key new --secret {}", secret.display());
        output(&workshop.halloo, &line, Stdio::null())?;
    }
    // At the first end, so that what it might relay crosses the same wire as everything else.
    let supernode = spawn(&a, &workshop.halloo, "supernode");
    supernode.wait_for_line("listening on UDP", PATIENCE);
    // Sockets of running edges share one folder.
    let devices = own_devices();
    for (seat, device) in ground.seats().iter().zip(&devices) {
        let line = format!(
            "edge --community bench --secret-file {} --supernode {} --address {}/24 --tap {device} --name {} {words}",
            secret.display(),
            a.at,
            seat.inside(),
            seat.letter
        );
        up.children.push(spawn(seat, &workshop.halloo, &line));
    }
    up.children.push(supernode);
    Ok(devices)
}

fn openvpn(
    cipher: &str,
    is_tuned: bool,
    ground: &Ground,
    workshop: &Workshop,
    up: &mut Up,
) -> Result<Devices> {
    let files = |letter: &str| {
        let file = |kind: &str| {
            workshop
                .file(&format!("openvpn-{letter}.{kind}"))
                .display()
                .to_string()
        };
        (file("key"), file("crt"))
    };
    let mut prints = vec![];
    for seat in ground.seats() {
        let (key, certificate) = files(seat.letter);
        if !Path::new(&certificate).exists() {
            let line = format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={} -keyout {key} -out {certificate}",
                seat.letter
            );
            output("openssl", &line, Stdio::null())?;
        }
        let line = format!("x509 -in {certificate} -noout -fingerprint -sha256");
        let print = output("openssl", &line, Stdio::null())?;
        let (_, print) = print
            .trim()
            .split_once('=')
            .context("openssl prints NAME=PRINT")?;
        prints.push(print.to_owned());
    }
    for seat in ground.seats() {
        let (key, certificate) = files(seat.letter);
        let mut line = format!(
            "--dev ov0 --dev-type tap --mode p2p --proto udp --port 1194 --remote {} 1194 --disable-dco --verb 1 --ifconfig {} 255.255.255.0",
            seat.other,
            seat.inside()
        );
        if is_tuned {
            line += " --tun-mtu 9000 --mssfix 0";
        }
        line += &if cipher == "none" {
            " --cipher none --auth none".to_owned()
        } else {
            let role = if seat.letter == "a" {
                "--tls-server --dh none"
            } else {
                "--tls-client"
            };
            let print = &prints[usize::from(seat.letter == "a")];
            format!(
                " {role} --cert {certificate} --key {key} --peer-fingerprint {print} --data-ciphers {cipher}"
            )
        };
        up.children.push(spawn(&seat, program("openvpn")?, &line));
    }
    Ok(["ov0", "ov0"].map(str::to_owned))
}

fn tinc(ciphers: bool, ground: &Ground, workshop: &Workshop, up: &mut Up) -> Result<Devices> {
    for seat in ground.seats() {
        let folder = ground.file(&format!("tinc-{}", seat.letter));
        fs::create_dir_all(folder.join("hosts"))?;
        let connect = if seat.letter == "b" { "ConnectTo = a\n" } else { "" };
        let text = format!(
            "Name = {}\nMode = switch\nDeviceType = tap\nInterface = ti0\nAddressFamily = ipv4\n{connect}",
            seat.letter
        );
        write(&folder.join("tinc.conf"), &text, 0o600)?;
        let text = format!(
            "#!/bin/sh\nip addr add {}/24 dev $INTERFACE\nip link set $INTERFACE up\n",
            seat.inside()
        );
        write(&folder.join("tinc-up"), &text, 0o700)?;
        let (private, public) = tinc_key(&seat, workshop)?;
        fs::copy(private, folder.join("rsa_key.priv"))?;
        let public = fs::read_to_string(public)?;
        let settings = if ciphers {
            ""
        } else {
            "Cipher = none\nDigest = none\n"
        };
        let text = format!("Address = {}\n{settings}{public}", seat.at);
        for end in ground.seats() {
            let folder = ground.file(&format!("tinc-{}", end.letter)).join("hosts");
            fs::create_dir_all(&folder)?;
            write(&folder.join(seat.letter), &text, 0o600)?;
        }
    }
    for seat in ground.seats() {
        let folder = ground.file(&format!("tinc-{}", seat.letter));
        let line = format!("-c {0} -D -d1 --pidfile={0}/pid", folder.display());
        up.children.push(spawn(&seat, program("tincd")?, &line));
    }
    Ok(["ti0", "ti0"].map(str::to_owned))
}

/// An end's key, made once: its private part and its public part.
fn tinc_key(seat: &Seat<'_>, workshop: &Workshop) -> Result<(std::path::PathBuf, std::path::PathBuf)> {
    let folder = workshop.file(&format!("tinc-{}", seat.letter));
    let (private, public) = (
        folder.join("rsa_key.priv"),
        folder.join("hosts").join(seat.letter),
    );
    if !public.exists() {
        fs::create_dir_all(folder.join("hosts"))?;
        write(
            &folder.join("tinc.conf"),
            &format!("Name = {}\n", seat.letter),
            0o600,
        )?;
        let line = format!("-c {} -K2048", folder.display());
        output(program("tincd")?, &line, Stdio::null())?;
    }
    Ok((private, public))
}

fn fastd(method: &str, mtu: u32, ground: &Ground, up: &mut Up) -> Result<Devices> {
    let mut keys = vec![];
    for _ in ground.seats() {
        let text = output(
            program("fastd")?,
            "--generate-key --machine-readable",
            Stdio::null(),
        )?;
        let secret = text.trim().to_owned();
        let file = ground.file("fastd.key");
        write(&file, &format!("secret \"{secret}\";\n"), 0o600)?;
        let line = format!("--config {} --show-key --machine-readable", file.display());
        let public = output(program("fastd")?, &line, Stdio::null())?;
        keys.push((secret, public.trim().to_owned()));
    }
    for (place, seat) in ground.seats().iter().enumerate() {
        let text = format!(
            "mode tap;\ninterface \"fd0\";\nmethod \"{method}\";\nbind {}:10000;\nmtu {mtu};\nlog level warn;\n\
             secret \"{}\";\npeer \"{}\" {{ key \"{}\"; remote {}:10000; }}\n\
             on up \"ip addr add {}/24 dev $INTERFACE; ip link set $INTERFACE up\";\n",
            seat.at,
            keys[place].0,
            seat.other_letter(),
            keys[1 - place].1,
            seat.other,
            seat.inside()
        );
        let file = ground.file(&format!("fastd-{}.conf", seat.letter));
        write(&file, &text, 0o600)?;
        let line = format!("-c {}", file.display());
        up.children.push(spawn(seat, program("fastd")?, &line));
    }
    Ok(["fd0", "fd0"].map(str::to_owned))
}

fn n2n(ground: &Ground, up: &mut Up) -> Result<Devices> {
    let [a, _] = ground.seats();
    let supernode = spawn(&a, program("supernode")?, "-l 7655");
    for seat in ground.seats() {
        let line = format!(
            "-d n2n0 -a {} -s 255.255.255.0 -c bench -k bench -l {}:7655 -p 505{number} -m 02:00:00:00:91:0{number} -r",
            seat.inside(),
            a.at,
            number = seat.number
        );
        up.children.push(spawn(&seat, program("edge")?, &line));
    }
    up.children.push(supernode);
    Ok(["n2n0", "n2n0"].map(str::to_owned))
}

fn vpncloud(algorithm: &str, mtu: u32, ground: &Ground, workshop: &Workshop, up: &mut Up) -> Result<Devices> {
    for seat in ground.seats() {
        let line = format!(
            "-d vc0 -t tap -m switch -l {}:3210 -c {}:3210 -p bench --no-port-forwarding --algo {algorithm}",
            seat.at, seat.other
        );
        up.children.push(spawn(&seat, &workshop.vpncloud, &line));
        address(&seat, "vc0", mtu)?;
    }
    Ok(["vc0", "vc0"].map(str::to_owned))
}

fn wireguard(mtu: u32, ground: &Ground, up: &mut Up) -> Result<Devices> {
    let wg = program("wg")?;
    let mut keys = vec![];
    for seat in ground.seats() {
        let key = output(&wg, "genkey", Stdio::null())?;
        let file = ground.file(&format!("wg-{}.key", seat.letter));
        write(&file, &key, 0o600)?;
        let public = output(&wg, "pubkey", fs::File::open(&file)?.into())?;
        keys.push((file, public.trim().to_owned()));
    }
    // Its control sockets share one folder.
    let devices = own_devices();
    for (place, seat) in ground.seats().iter().enumerate() {
        let device = &devices[place];
        up.children
            .push(spawn(seat, program("wireguard-go")?, &format!("-f {device}")));
        address(seat, device, mtu)?;
        let line = format!(
            "set {device} private-key {} listen-port 51820 peer {} allowed-ips 192.168.91.0/24 endpoint {}:51820",
            keys[place].0.display(),
            keys[1 - place].1,
            seat.other
        );
        let end = Instant::now() + DEVICE;
        // The device is there before the socket that takes orders.
        loop {
            let ran = seat.host.run(&wg, line.split_whitespace());
            if ran.status.success() {
                break;
            }
            ensure!(
                Instant::now() < end,
                "wg: {}",
                String::from_utf8_lossy(&ran.stderr)
            );
            sleep(Duration::from_millis(20));
        }
    }
    Ok(devices)
}
