"""Small Linux guests (QEMU, software emulation) on host TAP interfaces.

    with Guest("g1", tap="tap-g1") as g:      # TAP must exist (see Net below)
        g.wait_ready()
        rc, out = g.run("ip -br link")

Guest 'run' executes a shell line in the guest and returns (exit code, output).
"""
import ctypes, os, queue, re, signal, subprocess, sys, threading, time, zlib

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("TIPC_BUILD", os.path.join(HERE, "..", "..", "target", "peers", "tipc"))     # where build.py puts the image


LIBC = ctypes.CDLL(None)


class GuestError(Exception):
    pass


def _die_with_parent():
    LIBC.prctl(1, signal.SIGKILL)       # PR_SET_PDEATHSIG: no guest outlives its harness


def exit_on_sigterm():
    """Makes SIGTERM run the 'with' blocks' ends: guests killed, interfaces removed."""
    signal.signal(signal.SIGTERM, lambda *a: sys.exit(143))


class Guest:
    def __init__(self, name, tap, mac=None, netns=None, mtu=1500, mem=192, accel="tcg",
                 image=BUILD, log=None, append="", machine="pc", offload=True):
        self.name, self.tap, self.netns = name, tap, netns
        n = zlib.crc32(name.encode())
        self.mac = mac or "52:54:00:%02x:%02x:%02x" % (n >> 16 & 255, n >> 8 & 255, n & 255)
        self.t0 = time.monotonic()
        self.boot_s = self.uptime_s = None
        self.seq = 0
        self.lines = queue.Queue()
        self.log = open(log, "wb", buffering=0) if log else None
        cmdline = ("console=ttyS0 quiet loglevel=1 panic=-1 nokaslr mitigations=off nopti tsc=reliable "
                   "no_timer_check random.trust_cpu=on cryptomgr.notests 8250.nr_uarts=1 "
                   "i8042.noaux i8042.nokbd rcupdate.rcu_expedited=1 "
                   "guest.tty=ttyS0 guest.name=%s guest.mtu=%d %s" % (name, mtu, append))
        argv = ["qemu-system-x86_64", "-M", machine, "-accel", accel,
                "-cpu", "max,la57=off" if accel.startswith("tcg") else "host", "-smp", "1", "-m", str(mem),
                "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
                "-kernel", image + "/vmlinuz", "-initrd", image + "/initramfs.cpio", "-append", cmdline,
                "-netdev", "tap,id=n0,ifname=%s,script=no,downscript=no%s" % (tap, "" if offload else ",vnet_hdr=off"),
                "-device", "virtio-net-pci,netdev=n0,mac=%s,romfile=" % self.mac]
        if netns:
            argv = ["ip", "netns", "exec", netns] + argv
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, start_new_session=True,
                                  preexec_fn=_die_with_parent)
        threading.Thread(target=self._pump, daemon=True).start()

    def _pump(self):
        buf = b""
        while True:
            d = os.read(self.p.stdout.fileno(), 65536)
            if not d:
                break
            if self.log:
                self.log.write(d)
            buf += d
            *ls, buf = buf.split(b"\n")
            for l in ls:
                self.lines.put(l.decode(errors="replace").rstrip("\r"))
        self.lines.put(None)

    def _until(self, tag, timeout):
        out, end = [], time.monotonic() + timeout
        while True:
            try:
                l = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise GuestError("%s: no answer in %g s; last output: %s" % (self.name, timeout, out[-8:]))
            if l is None:
                raise GuestError("%s: guest ended; last output: %s" % (self.name, out[-8:]))
            m = re.search(r"@@%s (\S+)$" % tag, l)
            if m:
                if l[:m.start()]:
                    out.append(l[:m.start()])
                return m.group(1), "\n".join(out)
            out.append(l)

    def wait_ready(self, timeout=90):
        up, _ = self._until("ready", timeout)
        self.boot_s, self.uptime_s = time.monotonic() - self.t0, float(up)
        return self.boot_s

    def start(self, cmd):
        """Sends a command without waiting; give the result to finish()."""
        assert "\n" not in cmd
        self.seq += 1
        self.p.stdin.write(("c%d %s\n" % (self.seq, cmd)).encode())
        self.p.stdin.flush()
        return "c%d" % self.seq

    def finish(self, tag, timeout=60):
        rc, out = self._until(tag, timeout)
        return int(rc), out

    def run(self, cmd, timeout=60):
        return self.finish(self.start(cmd), timeout)

    def ok(self, cmd, timeout=60):
        rc, out = self.run(cmd, timeout)
        if rc:
            raise GuestError("%s: '%s' failed (%d): %s" % (self.name, cmd, rc, out))
        return out

    def close(self):
        if self.p.poll() is None:
            self.p.kill()           # our own child, by its pid; the guest has no disk
        self.p.wait()
        if self.log:
            self.log.close()

    __enter__ = lambda self: self

    def __exit__(self, *a):
        self.close()


class Net:
    """A host bridge with TAPs, or only TAPs to be put on an existing bridge.
    Removes at the end exactly the interfaces it made."""
    def __init__(self, taps, bridge=None, make_bridge=True, mtu=1500):
        self.made = []
        try:
            if bridge and make_bridge:
                self._ip("link", "add", bridge, "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
                self.made.append(bridge)
                open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % bridge, "w").write("1")
                self._ip("link", "set", bridge, "mtu", str(mtu), "up")
            for t in taps:
                self._ip("tuntap", "add", "dev", t, "mode", "tap")
                self.made.append(t)
                open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % t, "w").write("1")
                self._ip("link", "set", t, "mtu", str(mtu), *(["master", bridge] if bridge else []), "up")
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _ip(*a):
        subprocess.run(("ip",) + a, check=True)

    def close(self):
        for d in reversed(self.made):
            subprocess.run(["ip", "link", "del", d], stderr=subprocess.DEVNULL)
        self.made = []

    __enter__ = lambda self: self

    def __exit__(self, *a):
        self.close()
