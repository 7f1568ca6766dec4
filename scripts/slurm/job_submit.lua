-- Slurm's job_submit/lua plugin: a job with a container is taken only if what it names is staged.
--
-- JobSubmitPlugins=lua in slurm.conf; this file beside it as job_submit.lua. It runs inside the
-- controller, which waits for it: so it only looks at the name and whether a receipt is there. The
-- receipt itself is checked on the node, by the prolog or by the runtime's guard.

-- Where images are staged; change it to your site's folder. A pattern of Lua: %- is a dash.
local STAGED = "^/srv/images/"

local function refused(why)
  slurm.log_user("imagekit: the job's container is refused: %s", why)
  return slurm.ERROR
end

local function check(container)
  if container == nil or container == "" then
    return slurm.SUCCESS
  end
  -- Nothing but these characters, so that no program after this reads another path.
  if not string.match(container, "^/[%w%._/%-]+$") or string.find(container, "..", 1, true) then
    return refused("its path has other characters than letters, digits, '.', '_', '-' and '/'")
  end
  if not string.match(container, STAGED) then
    return refused("only images below the site's folder may run; ask for it to be staged there")
  end
  -- PATH is a link to the version that is meant; all versions lie in PATH.d.
  local link = io.open(container .. "/config.json", "r")
  if link == nil then
    return refused("nothing is staged at " .. container)
  end
  link:close()
  return slurm.SUCCESS
end

function slurm_job_submit(job_desc, part_list, submit_uid)
  return check(job_desc.container)
end

function slurm_job_modify(job_desc, job_rec, part_list, modify_uid)
  return check(job_desc.container)
end

return slurm.SUCCESS
