//! A lab to play in: two hosts, 20 ms apart, until Enter is pressed.

use halloo_lab::{Direction, Impairment, Lab, Unavailable};
use std::time::Duration;

fn main() -> Result<(), Unavailable> {
    let lab = Lab::new("two hosts, 20 ms apart")?;
    let (near, far) = (lab.host("near"), lab.host("far"));
    let (link, impairer) = lab.impaired_link(&near, &far);
    for direction in [Direction::AToB, Direction::BToA] {
        impairer.set(direction, Impairment::delay(Duration::from_millis(10)));
    }
    for end in [link.a(), link.b()] {
        eprintln!(
            "{}: {} {} {}",
            end.host().name(),
            end.device(),
            end.v4(),
            end.v6()
        );
    }
    lab.pause();
    Ok(())
}
