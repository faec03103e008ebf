//! Keys and what they do: the secret, Noise, sealing and opening, the window against repetition, cookies.
