//! Which frame goes where: the MAC table and the rules of flooding.
