-- The configuration of the specs: as shipped, in a fixed time zone.
return {
  zone = "Europe/Amsterdam",
  secrets = { SMS_TOKEN = env "HOME" }, -- any text: nothing is sent
}
