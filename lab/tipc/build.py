#!/usr/bin/env python3
"""Builds the guest image: kernel (Debian cloud kernel package) + one initramfs.

Nothing is installed on the machine: the kernel package is fetched with
`apt-get download` and only the wanted files are read out of it.
Output (in --out): vmlinuz, initramfs.cpio.  Needs: apt-get, dpkg-deb, gcc,
libc6-dev, linux-libc-dev, busybox-static, iproute2 (tipc, tc).
"""
import argparse, os, re, shutil, stat, subprocess, sys, tarfile

from guests import BUILD, HERE
BOOT_MODULES = ["virtio_pci", "virtio_net", "tipc"]          # loaded by /init
EXTRA_MODULES = ["sch_netem", "tipc_diag"]     # "load NAME" in the guest
HOST_TOOLS = ["tipc", "tc", "ip"]  # dynamic: libraries come along


def sh(*a, **k):
    return subprocess.run(a, check=True, stdout=subprocess.PIPE, text=True, **k).stdout


class Cpio:
    """Writer for the kernel's newc archive; device nodes need no root here."""
    def __init__(self, f):
        self.f, self.ino, self.dirs = f, 1, set()

    def _put(self, name, mode, data=b"", rdev=(0, 0)):
        n = name.encode() + b"\0"
        h = "070701" + "".join("%08X" % v for v in (
            self.ino, mode, 0, 0, 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(n), 0))
        self.ino += 1
        self.f.write(h.encode() + n)
        self.f.write(b"\0" * (-(110 + len(n)) % 4))
        self.f.write(data + b"\0" * (-len(data) % 4))

    def dir(self, name):
        parts = name.strip("/").split("/")
        for i in range(1, len(parts) + 1):
            d = "/".join(parts[:i])
            if d and d not in self.dirs:
                self.dirs.add(d)
                self._put(d, stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o755):
        self.dir(os.path.dirname(name))
        self._put(name.strip("/"), stat.S_IFREG | mode, data)

    def link(self, name, to):
        self.dir(os.path.dirname(name))
        self._put(name.strip("/"), stat.S_IFLNK | 0o777, to.encode())

    def node(self, name, major, minor):
        self.dir(os.path.dirname(name))
        self._put(name.strip("/"), stat.S_IFCHR | 0o600, b"", (major, minor))

    def end(self):
        self._put("TRAILER!!!", 0)


def libraries(path):
    out = subprocess.run(["ldd", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    return re.findall(r"(?:=> )?(/\S+) \(0x", out)


def kernel_package(meta):
    for l in sh("apt-cache", "depends", meta).splitlines():
        m = re.match(r"\s*Depends: (linux-image-\S+)", l)
        if m:
            return m.group(1)
    sys.exit("no kernel behind " + meta)


def modinfo_depends(blob):
    m = re.search(rb"\0?depends=([^\0]*)\0", blob)
    return [d for d in m.group(1).decode().split(",") if d] if m else []


def initramfs(path, mods, builtin, tools):
    """mods: name -> bytes, names with '_' for '-'."""
    key = lambda n: n.replace("-", "_")
    order = {}

    def resolve(n, seen):
        if key(n) in builtin or key(n) in seen:
            return
        if key(n) not in mods:
            raise KeyError(n)
        for d in modinfo_depends(mods[key(n)]):
            resolve(d, seen)
        seen[key(n)] = 1

    for n in BOOT_MODULES + EXTRA_MODULES:
        seen = {}
        try:
            resolve(n, seen)
        except KeyError as e:
            print("  module %s: %s is not in this kernel, left out" % (n, e))
            continue
        order[key(n)] = list(seen)
    need = sorted({m for v in order.values() for m in v})
    with open(path + ".tmp", "wb") as f:
        c = Cpio(f)
        for d in ("bin", "dev", "proc", "sys", "tmp", "root", "etc", "lib/modules"):
            c.dir(d)
        c.node("dev/console", 5, 1)
        c.node("dev/null", 1, 3)
        c.file("init", open(os.path.join(HERE, "guest-init.sh"), "rb").read())
        c.file("bin/busybox", open(shutil.which("busybox") or "/bin/busybox", "rb").read())
        c.file("lib/modules/deps", "".join("%s: %s\n" % (n, " ".join(v)) for n, v in order.items()).encode(), 0o644)
        c.file("lib/modules/boot", " ".join(key(n) for n in BOOT_MODULES if key(n) in order).encode(), 0o644)
        for m in need:
            c.file("lib/modules/%s.ko" % m, mods[m], 0o644)
        done = set()
        for name, p in tools.items():
            c.file("opt/bin/" + name, open(p, "rb").read())
            for l in libraries(p):
                if l not in done:
                    done.add(l)
                    c.file(l, open(l, "rb").read())
        c.end()
    os.replace(path + ".tmp", path)
    print("%s: %.1f MB, modules: %s" % (path, os.path.getsize(path) / 1e6, " ".join(need)))


def from_deb(deb, want):
    """Streams the package's files through want(name) -> bool."""
    p = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
    with tarfile.open(fileobj=p.stdout, mode="r|") as t:
        for m in t:
            if m.isfile() and want(m.name):
                yield m.name, t.extractfile(m).read()
    p.stdout.read()
    p.wait()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--out", default=BUILD)
    ap.add_argument("--kernel", default="linux-image-cloud-amd64", help="meta package or linux-image-VERSION")
    a = ap.parse_args()
    a.out = os.path.abspath(a.out)
    os.makedirs(a.out, exist_ok=True)
    sh("nice", "-n", "19", "gcc", "-O2", "-Wall", "-Wextra", "-static", "-o", a.out + "/tipcmcast",
       HERE + "/tipcmcast.c")
    tools = {"tipcmcast": a.out + "/tipcmcast"}
    for n in HOST_TOOLS:
        p = shutil.which(n, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        if p:
            tools[n] = os.path.realpath(p)
        else:
            print("  tool %s is not installed here, left out" % n)
    pkg = kernel_package(a.kernel) if not re.search(r"\d", a.kernel.replace("amd64", "")) else a.kernel
    debs = [f for f in os.listdir(a.out) if f.startswith(pkg + "_") and f.endswith(".deb")]
    if not debs:
        subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", pkg], cwd=a.out, check=True)
        debs = [f for f in os.listdir(a.out) if f.startswith(pkg + "_") and f.endswith(".deb")]
    mods, builtin = {}, set()
    for name, data in from_deb(os.path.join(a.out, debs[0]),
                               lambda n: "/boot/vmlinuz" in n or n.endswith((".ko", "/modules.builtin"))):
        base = os.path.basename(name)
        if base.startswith("vmlinuz"):
            open(a.out + "/vmlinuz", "wb").write(data)
        elif base == "modules.builtin":
            builtin = {os.path.basename(l)[:-3].replace("-", "_") for l in data.decode().split()}
        else:
            k = base[:-3].replace("-", "_")
            mods["tipc_diag" if name.endswith("tipc/diag.ko") else k] = data
    initramfs(a.out + "/initramfs.cpio", mods, builtin, tools)
    print("kernel", pkg)


if __name__ == "__main__":
    main()
