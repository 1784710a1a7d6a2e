-- A worker whose connection failed is about to register with apalis-redis anew, which refuses a name
-- that it has seen a moment ago.
-- ARGV[4] = worker, ARGV[5] = queue
end_registration(ARGV[4], ARGV[5])
return 0
