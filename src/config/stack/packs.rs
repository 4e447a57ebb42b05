//! Which packs of the catalogue a project needs. All of them cost the same; fewer are fewer surprises.

use regex::Regex;

use super::finder::Finder;
use super::proposal::PackChoice;

/// Expressions over the texts that were read: a pack is proposed where one is found, with the reason.
const SIGNS: [(&str, &str, &str); 5] = [
    (
        "pytorch",
        r"(?m)^\W*(?:import |from )?(?:torch|transformers|lightning|pytorch.lightning|deepspeed|accelerate)\b",
        "PyTorch is among what is imported or required",
    ),
    (
        "nccl",
        r"\b(?:torch\.distributed|torchrun|init_process_group|DistributedDataParallel|deepspeed|accelerate|mpirun|mpi4py|horovod|jax\.distributed|NCCL_\w+)\b",
        "work is spread over processes",
    ),
    (
        "cuda",
        r"(?i)\b(?:torch|tensorflow|jax|cupy|cuda|nvidia|rocm|pycuda|numba|vllm|triton|keras)\b",
        "there are signs of accelerators",
    ),
    (
        "http",
        r#"(?i)\b(?:requests|httpx|aiohttp|urllib3?|fastapi|flask|django|uvicorn|gunicorn|starlette|boto3|botocore|huggingface_hub|transformers|openai|anthropic|wandb|grpc\w*|express|axios|fastify|koa|next|nestjs|undici|node-fetch|net/http|reqwest|hyper|axum|actix|tonic|spring-boot\w*|netty|okhttp|curl|wget|datasets)\b"#,
        "it talks over the network",
    ),
    (
        "database",
        r#"(?i)\b(?:psycopg\w*|asyncpg|sqlalchemy|pymysql|mysql\w*|sqlite3?|pymongo|mongo\w*|redis|ioredis|django|prisma|typeorm|knex|sequelize|postgres\w*|pgx|gorm|lib/pq|sqlx|diesel|jdbc|hibernate|hikari\w*)\b"#,
        "it uses a database",
    ),
];

impl Finder<'_> {
    /// Packs for the stacks found so far.
    pub(super) fn packs(&mut self) {
        let found = self.proposal.stacks.clone();
        let has = |stack: &str| found.iter().any(|found| found.starts_with(stack));
        let texts = || self.names().map(|name| self.text(name)).filter(|text| !text.is_empty());
        let mut packs: Vec<PackChoice> = Vec::new();
        let mut add = |pack: &'static str, why: &'static str| packs.push(PackChoice { pack, why });
        if has("Python") {
            add("python", "there is Python here");
        }
        for (pack, sign, why) in SIGNS.iter().take(3) {
            if Regex::new(sign).is_ok_and(|sign| texts().any(|text| sign.is_match(text))) {
                add(pack, why);
            }
        }
        if has("SLURM") {
            add("slurm", "a script has #SBATCH lines");
        }
        if has("Node") || has("TypeScript") {
            add("node", "there is a package.json");
        }
        if has("Java") {
            add("jvm", "there is a build of Maven or Gradle");
        }
        if has("Go") {
            add("go", "there is a go.mod");
        }
        add("native", "every program can crash");
        for (pack, sign, why) in SIGNS.iter().skip(3) {
            if Regex::new(sign).is_ok_and(|sign| texts().any(|text| sign.is_match(text))) {
                add(pack, why);
            }
        }
        add("storage", "every program needs files");
        add("kernel", "every program needs a machine");
        self.proposal.packs = packs;
    }
}
