-- The configuration of the specs: as shipped, in a fixed time zone.
return { zone = "Europe/Amsterdam" }
