"""The outgoing HTTP seam: one POST to one callback, within the contract's limits.

`answer` reads what a callback sends, `connection` is one kept connection, `turns` has the work of all of them
done kind by kind, `dialling` makes a connection, to an address that was checked, `deadlines` ends what takes too long,
and `callback` is what the rest of the server knows.
"""
