//! How long a TUN device lives. In a process of its own, because a program that is started while the device is there
//! holds it for a moment, and the other tests start programs.
//!
//! Needs root; says loudly when it did not run.

use halloo_io::route::{LinkChange, Netlink};
use halloo_io::{TunDevice, TunOptions};
use halloo_lab::Lab;

#[test]
fn a_device_is_as_it_was_asked_for_and_goes_with_its_owner() {
    let Some(lab) = Lab::or_skip("a TUN of a name") else {
        return;
    };
    let host = lab.host("solo");
    host.enter(|| {
        let options = TunOptions {
            name: "echo7".into(),
            mtu: Some(9_000),
            queue_length: Some(2_000),
            multi_queue: false,
        };
        let device = TunDevice::open(&options).expect("root may make a TUN");
        let mut netlink = Netlink::open().expect("a netlink socket");
        let look = |netlink: &mut Netlink| netlink.link("echo7").expect("an answer");
        let link = look(&mut netlink).expect("it is there");
        assert_eq!(
            (link.id, link.mtu, link.queue_length),
            (device.link(), 9_000, 2_000)
        );
        assert!(!link.up);
        let up = LinkChange {
            up: Some(true),
            ..LinkChange::default()
        };
        netlink.change_link(device.link(), &up).expect("it goes on");
        let addresses = netlink.addresses().expect("an answer");
        let own: Vec<_> = addresses
            .iter()
            .filter(|address| address.link == device.link())
            .collect();
        assert!(own.is_empty(), "{own:?}");
        let busy = TunDevice::open(&options).expect_err("its only queue is taken");
        assert_eq!(busy.raw_os_error(), Some(16), "EBUSY");
        drop(device);
        assert_eq!(look(&mut netlink), None);
        let numbered = TunDevice::open(&TunOptions::default()).expect("root may make a TUN");
        assert_eq!(numbered.name(), "halloo0");
        let long = TunOptions {
            name: "sixteen-letters!".into(),
            ..options
        };
        assert!(TunDevice::open(&long).is_err());
    });
}
