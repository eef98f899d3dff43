"""The parts of the Bitrix24 imitation; :class:`optsync_bitrix24.mock.Bitrix24Mock` joins them."""
