-- What the gate says of its own state.
-- Returns the epoch under which admission is open ('' = it is closed), the epoch of the newest refill that
-- has begun here, and 1 if what is here is what was opened.
return {call('GET', P .. 'epoch') or '', tonumber(call('GET', P .. 'raised') or '0'), is_as_opened() and 1 or 0}
