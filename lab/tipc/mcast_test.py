#!/usr/bin/env python3
"""TIPC multicast acceptance test: three guests with the kernel's own TIPC, each
with one Ethernet TAP on the host as its only network.  Servers run in guests
1 and 2 and bind {18888,0..399} in ranges of 100; the client in guest 3
multicasts to ranges; every server must get every matching message exactly once.
Exit status 0 only if all runs pass.  Prints a JSON summary as the last line.

Network (host side), one of:
  (default)                      makes bridge tipcbr0 and TAPs tipc-g1..3 on it
  --bridge B --existing-bridge   makes the TAPs, puts them on your bridge B
  --no-bridge                    makes the TAPs only; --hook runs your command then
  --existing-taps --taps a,b,c   attaches to TAPs that you made (persistent, and
                                 with --netns x,y,z in those network namespaces)
"""
import argparse, json, os, re, socket, subprocess, sys, threading, time
from contextlib import ExitStack
from guests import BUILD, Guest, GuestError, Net, exit_on_sigterm


class Wire(threading.Thread):
    """Counts TIPC frames on a host interface, as evidence of the path taken."""
    def __init__(self, dev):
        super().__init__(daemon=True)
        # ETH_P_ALL: on a bridge port a socket for one EtherType sees nothing
        self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.s.bind((dev, 3))
        self.dev, self.n, self.b, self.sources, self.largest = dev, 0, 0, set(), 0
        self.other = 0
        self.start()

    def run(self):
        while True:
            try:
                d = self.s.recv(65536)
            except OSError:         # the interface is gone
                return
            if d[12:14] != b"\x88\xca":
                self.other += 1
                continue
            self.n += 1
            self.b += d[0] & 1
            self.sources.add(d[6:12].hex(":"))
            self.largest = max(self.largest, len(d))

    def summary(self):
        return {"dev": self.dev, "frames": self.n, "group_addressed": self.b,
                "sources": sorted(self.sources), "largest": self.largest, "other_frames": self.other}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--taps", default="tipc-g1,tipc-g2,tipc-g3")
    ap.add_argument("--bridge", default="tipcbr0")
    ap.add_argument("--existing-bridge", action="store_true")
    ap.add_argument("--no-bridge", action="store_true")
    ap.add_argument("--existing-taps", action="store_true")
    ap.add_argument("--netns", default="", help="a,b,c: namespaces of the TAPs (with --existing-taps)")
    ap.add_argument("--hook", help="shell command run when the TAPs exist, before the guests start")
    ap.add_argument("--mtu", type=int, default=1500, help="of eth0 in the guests (set it to the overlay's)")
    ap.add_argument("--rounds", type=int, default=20)
    ap.add_argument("--sizes", default="64,1400,4000,20000")
    ap.add_argument("--modes", default="bcast,rcast", help="of bcast, rcast, auto")
    ap.add_argument("--netem", help="e.g. 'delay 20ms loss 2%%' on eth0 of the guests, before TIPC starts")
    ap.add_argument("--tolerance", type=int, help="TIPC link tolerance in ms (kernel default 1500); raise it "
                    "if links reset because this machine is overloaded")
    ap.add_argument("--boot-timeout", type=float, default=90)
    ap.add_argument("--accel", default="tcg")
    ap.add_argument("--image", default=BUILD)
    ap.add_argument("--logs", default="/tmp", help="directory for the guests' console logs")
    ap.add_argument("--no-offload", action="store_true", help="no checksum/segmentation offload on the TAPs: "
                    "frames leave the guest complete and never larger than the MTU")
    a = ap.parse_args()
    taps, ns = a.taps.split(","), (a.netns.split(",") if a.netns else [None] * 3)
    assert len(taps) == 3 and len(ns) == 3
    t0, res, good = time.monotonic(), {"runs": []}, True

    def say(*w):
        print("[%6.2f]" % (time.monotonic() - t0), *w, flush=True)

    with ExitStack() as st:
        wire = None
        if not a.existing_taps:
            st.enter_context(Net(taps, None if a.no_bridge else a.bridge, not a.existing_bridge,
                                 max(a.mtu, 1500)))
        if a.hook:
            subprocess.run(a.hook, shell=True, check=True)
        if not ns[0]:
            wire = Wire(taps[2])
        gs = [st.enter_context(Guest("g%d" % (i + 1), taps[i], netns=ns[i], mtu=a.mtu, accel=a.accel, offload=not a.no_offload,
                                     image=a.image, log=os.path.join(a.logs, "tipc-g%d.log" % (i + 1))))
              for i in range(3)]
        for g in gs:
            g.wait_ready(a.boot_timeout)
        res["boot_s"] = [round(g.boot_s, 2) for g in gs]
        res["kernel"] = gs[0].ok("uname -r").strip()
        say("guests up:", res["boot_s"], res["kernel"])
        if a.netem:
            for g in gs:
                g.ok("load sch_netem && tc qdisc add dev eth0 root netem " + a.netem)
            say("netem on each eth0:", gs[0].ok("tc qdisc show dev eth0").strip())

        tl = time.monotonic()
        for i, g in enumerate(gs):
            g.ok("tipc node set address 1.1.%d && tipc bearer enable media eth device eth0" % (i + 1))
        say("bearers:", gs[0].ok("tipc bearer list").strip(), "| mtu", gs[0].ok("cat /sys/class/net/eth0/mtu").strip())
        for g in gs:
            while len(re.findall(r"eth0.*: up", g.ok("tipc link list"))) < 2:
                if time.monotonic() - tl > 30:
                    raise GuestError("%s: no two TIPC links after 30 s: %s" % (g.name, g.ok("tipc link list; tipc node list")))
                time.sleep(0.05)
        if a.tolerance:
            for g in gs:
                for l in re.findall(r"^(\S+eth0): up", g.ok("tipc link list"), re.M):
                    g.ok("tipc link set tolerance %d link %s" % (a.tolerance, l))
        res["links_up_s"] = round(time.monotonic() - tl, 2)
        say("all links up after %.2f s" % res["links_up_s"])
        print(gs[2].ok("tipc node list; tipc link list"))

        for mode in a.modes.split(","):
            tr = time.monotonic()
            while int(gs[2].ok("tipc nametable show | grep -c '^18888 ' || true")):
                if time.monotonic() - tr > 10:
                    raise GuestError("names of the earlier run are still published after 10 s")
                time.sleep(0.05)
            tags = [g.start("tipcmcast server %s" % g.name) for g in gs[:2]]
            rc, out = gs[2].run("tipcmcast client --servers 2 --mode %s --rounds %d --sizes %s"
                                % (mode, a.rounds, a.sizes), timeout=150)
            outs = [g.finish(t, 150) for g, t in zip(gs, tags)]
            ok = rc == 0 and all(r == 0 for r, _ in outs)
            good &= ok
            print(out)
            for _, o in outs:
                print("\n".join(l for l in o.splitlines() if "received" in l))
            res["runs"].append({"mode": mode, "pass": ok, "s": round(time.monotonic() - tr, 2)})
            say("mode %s: %s" % (mode, "PASS" if ok else "FAIL"))
            if not ok:
                print(gs[2].ok("tipc link stat show; dmesg | grep -i tipc | tail -5"))
                break
        if wire:
            time.sleep(0.2)
            res["wire"] = wire.summary()
            say("TIPC frames on", res["wire"])
        print(gs[2].ok("tipc link stat show link broadcast-link | head -12"))

    res["total_s"], res["pass"] = round(time.monotonic() - t0, 2), good
    print(json.dumps(res))
    return 0 if good else 1


if __name__ == "__main__":
    exit_on_sigterm()
    try:
        sys.exit(main())
    except (GuestError, AssertionError, subprocess.CalledProcessError) as e:
        print("ERROR", e)
        sys.exit(2)
