use super::super::vectors::rows;
use super::host;

#[test]
fn every_row_of_the_table_holds() {
    let rows = rows();
    assert!(rows.len() > 100, "{} rows were read", rows.len());
    for row in rows {
        let mut datagram = row.request.clone();
        let outcome = host(row.icmp).turn_round(&mut datagram);
        let outcome = outcome.map(|len| datagram[..len].to_vec());
        let outcome = outcome.map_err(halloo_base::Reason::name);
        assert_eq!(outcome, row.outcome, "{}", row.name);
    }
}
