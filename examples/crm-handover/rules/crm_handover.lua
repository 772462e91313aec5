-- Each call that ended goes to the CRM, with the customer whose number it is. A customer whom nobody
-- answered is rung back within two hours; else their account manager is reminded.
local CRM = "https://crm.example.org/api/"
local AUTH = { Authorization = "Bearer " .. secret "CRM_TOKEN" }

-- Who has this number: { id, name, manager }, or nil and why nobody is known. The CRM being down
-- is no reason to fail: the call is handed over all the same, and the CRM finds out who it was.
local function customer_of(number)
  local res = http.get {
    url     = CRM .. "customers",
    query   = { phone = number },
    headers = AUTH,
    cache   = "10m",
  }
  if res.ok and res.json then return res.json end
  return nil, res.error or "status " .. res.status
end

local function reminder_name(customer)
  return "ring back " .. customer.id
end

rule "Hand the call to the CRM" {
  on  = "call_stop",
  run = function(call)
    local customer, why = customer_of(call.remote_number)
    if not customer then log.warn("no customer for " .. call.remote_number .. ": " .. why) end
    http.post {
      url     = CRM .. "calls",
      headers = AUTH,
      json    = {
        call     = call.call_id,
        number   = call.remote_number,
        customer = customer and customer.id or json.null,
        result   = call.call_result,
        seconds  = call.duration_sec,
      },
      key     = "call " .. call.call_id, -- the same call is the same to the CRM, however often it is sent
      notify  = "crm",
    }
    if not customer then return end
    if call.call_result == "Answered" then
      cancel(reminder_name(customer))
    else
      after("2h", "ring_back", { customer = customer }, { name = reminder_name(customer) })
    end
  end,
}

rule "Nobody has rung the customer back" {
  on  = "ring_back",
  run = function(data)
    email {
      to      = data.customer.manager,
      subject = "{{name}} waits for a call",
      text    = "{{name}} called two hours ago and nobody has spoken to them since.\n",
      with    = data.customer,
    }
  end,
}

-- The engine tells when it has given a delivery up: the CRM refused it, or was down for too long.
rule "A call did not reach the CRM" {
  on   = "delivery_failed",
  when = function(delivery) return delivery.notify == "crm" end,
  run  = function(delivery)
    email {
      to      = "it@example.org",
      subject = "The CRM did not take a call",
      text    = "{{error}}\n\n{{answer}}\n\n"
        .. "Once it is mended: switchhook redrive http-{{idempotency_key}}\n",
      with    = delivery,
    }
  end,
}
