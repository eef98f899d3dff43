"""optsync keeps e-mail opt-outs, consent, topics and mapped fields in agreement between CRMs and ESPs."""
